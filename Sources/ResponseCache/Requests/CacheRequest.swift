import DexatelAPI
package import NIOHTTP1

/// What of a request concerns the cache, found in one pass over its fields.
package struct CacheRequest: Sendable {
    /// The fields as they came.
    package let headers: HTTPHeaders
    /// Whether the client wants the head only.
    package let isHead: Bool
    /// Whether only the upstream may answer: other methods, and conditions that only an origin may evaluate
    /// (`If-Match`, `If-Unmodified-Since`; RFC 9111 §4.3.2).
    package private(set) var mustBypass: Bool
    private(set) var isGet: Bool
    private(set) var directives = RequestDirectives()
    /// Whether there are conditions or ranges that the cache may answer.
    package private(set) var hasConditions = false
    private(set) var hasAuthorization = false
    private var disregardsAuthorization = false
    /// Whether the upstream is asked for identity coding, whatever the client accepts.
    package var asksForIdentity = false

    /// Request fields to leave out when a miss is fetched, so that the reply is whole and fits every waiting client;
    /// they are answered from what was stored.
    package static let fieldsAnsweredHere = ["If-None-Match", "If-Modified-Since", "If-Range", "Range"]

    private static let answeredHere = fieldsAnsweredHere.map { $0.lowercased() }

    /// Reads a request's head.
    package init(method: HTTPMethod, headers: HTTPHeaders) {
        self.init(method: method, headers: headers) { _, _ in }
    }

    /// Reads a request's head, and lends each field to somebody who wants to know more of it: one pass is cheaper than
    /// two.
    package init(method: HTTPMethod, headers: HTTPHeaders, _ visit: (_ name: String, _ value: String) -> Void) {
        self.headers = headers
        // By pattern: `==` on methods compares their names as text.
        if case .GET = method { isGet = true } else { isGet = false }
        if case .HEAD = method { isHead = true } else { isHead = false }
        mustBypass = !isGet && !isHead
        var hasCacheControl = false
        var hasPragma = false
        for (name, value) in headers {
            visit(name, value)
            switch name.utf8.count {
            case 5 where name.isASCII("range"): hasConditions = true
            case 6 where name.isASCII("pragma"): hasPragma = true
            case 8 where name.isASCII("if-match"): mustBypass = true
            case 13:
                switch name.utf8.first.unsafelyUnwrapped.asciiLowercased {
                case UInt8(ascii: "c") where name.isASCII("cache-control"): hasCacheControl = true
                case UInt8(ascii: "i") where name.isASCII("if-none-match"): hasConditions = true
                case UInt8(ascii: "a") where name.isASCII("authorization"): hasAuthorization = true
                default: break
                }
            case 17 where name.isASCII("if-modified-since"): hasConditions = true
            case 19 where name.isASCII("if-unmodified-since"): mustBypass = true
            default: break
            }
        }
        if hasCacheControl {
            directives = RequestDirectives(headers["Cache-Control"])
        } else if hasPragma, Pragma.saysNoCache(headers) {
            directives.noCache = true
        }
    }

    /// `Authorization` was meant for the relay alone: the upstream does not see it, and its reply does not depend on it.
    package mutating func disregardAuthorization() {
        hasAuthorization = false
        disregardsAuthorization = true
    }

    /// The lines of a field as the upstream gets to see them: replies are chosen by those (RFC 9111 §4.1).
    ///
    /// - Parameter name: In lower case.
    func forwardedLines(_ name: String) -> [String] {
        switch name {
        case "accept-encoding" where asksForIdentity: ["identity"]
        case "authorization" where disregardsAuthorization: []
        default: Self.answeredHere.contains(name) ? [] : headers[name]
        }
    }

    /// The same request, as if it were for the whole reply: HEAD confirms what was stored for GET (RFC 9111 §4.3.5).
    package var asGet: CacheRequest {
        var request = self
        request.isGet = true
        return request
    }
}
