import DexatelAPI
import NIOHTTP1

/// The header fields of a contact write that decide about it, gathered in one pass.
struct WriteRequestFields {
    /// Those that say who asks.
    private(set) var client = ClientFields()
    /// The first `Content-Type`.
    private var contentType: String?
    /// `Content-Length`; nil when there is none.
    private(set) var contentLength: Int?
    private(set) var isChunked = false
    /// A `Content-Encoding` other than `identity`.
    private(set) var isCompressed = false
    private(set) var expectsContinue = false
    /// One of the fields that make a request conditional (RFC 9110 §13.1).
    private(set) var hasPrecondition = false
    private(set) var hasPreference = false

    init(_ headers: HTTPHeaders) {
        for (name, value) in headers { note(name, value) }
    }

    /// Whether the media type is `application/json`, with any parameters.
    var isJSON: Bool { contentType.map(Self.isJSON) ?? false }

    /// Whether a body follows.
    var announcesBody: Bool { isChunked || (contentLength ?? 0) > 0 }

    private mutating func note(_ name: String, _ value: String) {
        client.note(name, value)
        // By length first: most fields are told apart without looking at a letter.
        switch name.utf8.count {
        case 6:
            if name.isASCII("prefer") { hasPreference = true }
            if name.isASCII("expect") { expectsContinue = expectsContinue || value.isASCII("100-continue") }
        case 8 where name.isASCII("if-match"): hasPrecondition = true
        case 12 where name.isASCII("content-type"): contentType = contentType ?? value
        case 13 where name.isASCII("if-none-match"): hasPrecondition = true
        case 14 where name.isASCII("content-length"): contentLength = Int(value)
        case 16 where name.isASCII("content-encoding"): isCompressed = isCompressed || !value.isASCII("identity")
        case 17:
            if name.isASCII("transfer-encoding") { isChunked = true }
            if name.isASCII("if-modified-since") { hasPrecondition = true }
        case 19 where name.isASCII("if-unmodified-since"): hasPrecondition = true
        default: break
        }
    }

    static func isJSON(_ value: String) -> Bool {
        if value.isASCII("application/json") { return true }
        var type = value.prefix { $0 != ";" }
        while type.last == " " || type.last == "\t" { type.removeLast() }
        return String(type).isASCII("application/json")
    }
}
