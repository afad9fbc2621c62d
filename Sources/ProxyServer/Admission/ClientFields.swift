import DexatelAPI
import NIOHTTP1

/// The header fields that say who asks and for whom, gathered in the pass in which the other fields of a request are.
struct ClientFields {
    /// The first `Host`.
    private(set) var host: String?
    private(set) var hasSeveralHosts = false
    /// The first `Origin`.
    private(set) var origin: String?
    private(set) var hasSeveralOrigins = false
    /// A browser says that a page of another site asks (`Sec-Fetch-Site`).
    private(set) var isCrossSite = false
    /// The values of `X-Forwarded-For`.
    private(set) var forwardedFor: [String] = []
    /// The values of `Forwarded`.
    private(set) var forwarded: [String] = []
    /// The first `Authorization`.
    private(set) var authorization: String?
    private(set) var hasSeveralAuthorizations = false
    private var firstKey: String?

    /// To be filled by ``note(_:_:)``.
    init() {}

    init(_ headers: HTTPHeaders) {
        for (name, value) in headers { note(name, value) }
    }

    /// The first `X-Dexatel-Key`, as everywhere in the relay; nil when it is missing or empty.
    var apiKey: String? { firstKey.flatMap { $0.isEmpty ? nil : $0 } }

    /// Whether a proxy says whom it speaks for.
    var isForwarded: Bool { !forwardedFor.isEmpty || !forwarded.isEmpty }

    /// Notes one field.
    @inline(__always)
    mutating func note(_ name: String, _ value: String) {
        // By length first: most fields are told apart without looking at a letter.
        switch name.utf8.count {
        case 4 where name.isASCII("host"): Self.note(value, &host, &hasSeveralHosts)
        case 6 where name.isASCII("origin"): Self.note(value, &origin, &hasSeveralOrigins)
        case 9 where name.isASCII("forwarded"): forwarded.append(value)
        case 13:
            if name.isASCII("x-dexatel-key") { firstKey = firstKey ?? value }
            if name.isASCII("authorization") { Self.note(value, &authorization, &hasSeveralAuthorizations) }
        case 14 where name.isASCII("sec-fetch-site"): isCrossSite = isCrossSite || value.isASCII("cross-site")
        case 15 where name.isASCII("x-forwarded-for"): forwardedFor.append(value)
        default: break
        }
    }

    private static func note(_ value: String, _ first: inout String?, _ hasSeveral: inout Bool) {
        if first == nil { first = value } else { hasSeveral = true }
    }
}
