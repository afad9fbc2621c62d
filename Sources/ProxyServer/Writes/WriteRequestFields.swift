import NIOHTTP1

/// The header fields of a contact write that decide about it, gathered in one pass.
struct WriteRequestFields {
    /// The first `X-Dexatel-Key`, as everywhere in the relay.
    private var firstKey: String?
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

    /// `X-Dexatel-Key`; nil when it is missing or empty.
    var apiKey: String? { firstKey.flatMap { $0.isEmpty ? nil : $0 } }

    /// Whether the media type is `application/json`, with any parameters.
    var isJSON: Bool { contentType.map(Self.isJSON) ?? false }

    /// Whether a body follows.
    var announcesBody: Bool { isChunked || (contentLength ?? 0) > 0 }

    private mutating func note(_ name: String, _ value: String) {
        // By length first: most fields are told apart without looking at a letter.
        switch name.utf8.count {
        case 6:
            if name.isField("prefer") { hasPreference = true }
            if name.isField("expect") { expectsContinue = expectsContinue || value.isField("100-continue") }
        case 8 where name.isField("if-match"): hasPrecondition = true
        case 12 where name.isField("content-type"): contentType = contentType ?? value
        case 13:
            if name.isField("x-dexatel-key") { firstKey = firstKey ?? value }
            if name.isField("if-none-match") { hasPrecondition = true }
        case 14 where name.isField("content-length"): contentLength = Int(value)
        case 16 where name.isField("content-encoding"): isCompressed = isCompressed || !value.isField("identity")
        case 17:
            if name.isField("transfer-encoding") { isChunked = true }
            if name.isField("if-modified-since") { hasPrecondition = true }
        case 19 where name.isField("if-unmodified-since"): hasPrecondition = true
        default: break
        }
    }

    private static func isJSON(_ value: String) -> Bool {
        if value.isField("application/json") { return true }
        var type = value.prefix { $0 != ";" }
        while type.last == " " || type.last == "\t" { type.removeLast() }
        return String(type).isField("application/json")
    }
}

extension String {
    /// Whether this is `other` but for the case of ASCII letters (RFC 9110 §5.1).
    ///
    /// - Parameter other: A name in lower case.
    func isField(_ other: StaticString) -> Bool {
        guard utf8.count == other.utf8CodeUnitCount else { return false }
        var index = 0
        for byte in utf8 {
            let lower = (0x41...0x5A).contains(byte) ? byte | 0x20 : byte
            guard lower == other.utf8Start[index] else { return false }
            index += 1
        }
        return true
    }
}
