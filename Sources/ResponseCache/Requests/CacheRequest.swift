import DexatelAPI
package import HTTPWire
package import NIOHTTP1

/// What of a request concerns the cache, found in one pass over its fields.
package struct CacheRequest: Sendable {
    /// The head as it came.
    package private(set) var head: RequestHead
    /// Whether the client wants the head only.
    package let isHead: Bool
    /// Whether only the upstream may answer: other methods, and conditions that only an origin may evaluate
    /// (`If-Match`, `If-Unmodified-Since`; RFC 9111 §4.3.2).
    package let mustBypass: Bool
    private(set) var isGet: Bool
    private(set) var directives = RequestDirectives()
    /// Whether there are conditions or ranges that the cache may answer.
    package let hasConditions: Bool
    private(set) var hasAuthorization: Bool
    private var disregardsAuthorization = false
    /// Whether the upstream is asked for identity coding, whatever the client accepts.
    package var asksForIdentity = false

    /// Request fields to leave out when a miss is fetched, so that the reply is whole and fits every waiting client;
    /// they are answered from what was stored.
    package static let fieldsAnsweredHere = ["If-None-Match", "If-Modified-Since", "If-Range", "Range"]

    private static let answeredHere = fieldsAnsweredHere.map { $0.lowercased() }

    /// Reads what is known of a request.
    package init(method: HTTPMethod, headers: HTTPHeaders) { self.init(RequestHead(method, "/", headers)) }

    /// Reads a request's head.
    package init(_ head: RequestHead) {
        self.head = head
        let fields = head.fields
        // By pattern: `==` on methods compares their names as text.
        if case .GET = head.method { isGet = true } else { isGet = false }
        if case .HEAD = head.method { isHead = true } else { isHead = false }
        mustBypass = !isGet && !isHead || fields.has(.ifMatch) || fields.has(.ifUnmodifiedSince)
        hasConditions = fields.has(.range) || fields.has(.ifNoneMatch) || fields.has(.ifModifiedSince)
        hasAuthorization = fields.has(.authorization)
        if fields.has(.cacheControl) {
            directives = RequestDirectives(fields.values(.cacheControl))
        } else if fields.has(.pragma), Pragma.saysNoCache(fields.values(.pragma)) {
            directives.noCache = true
        }
    }

    /// The fields as they came.
    package var fields: FieldSection { head.fields }

    /// The same request in memory of its own, for what outlives the read that brought it.
    package var detached: CacheRequest {
        var request = self
        request.head = head.detached
        return request
    }

    /// `Authorization` was meant for the relay alone: the upstream does not see it, and its reply does not depend on it.
    package mutating func disregardAuthorization() {
        hasAuthorization = false
        disregardsAuthorization = true
    }

    /// The lines of a field as the upstream gets to see them: replies are chosen by those (RFC 9111 §4.1).
    ///
    /// The same as in ``forwardedFields``, for one name.
    ///
    /// - Parameter name: In lower case.
    package func forwardedLines(_ name: String) -> [String] {
        if asksForIdentity, name == "accept-encoding" { return ["identity"] }
        let lines = fields.values(named: name)
        guard !lines.isEmpty, mayForward(name, ForwardedFieldNames(connection: fields.values(.connection))) else {
            return []
        }
        return lines
    }

    /// The fields that the upstream gets when the whole reply is fetched; `Via` and a validation's conditions follow them.
    package var forwardedFields: [(name: String, value: String)] {
        let names = ForwardedFieldNames(connection: fields.values(.connection))
        var forwarded = fields.headers.filter { mayForward($0.name, names) }
        if asksForIdentity { forwarded.append(("Accept-Encoding", "identity")) }
        return forwarded
    }

    /// Whether a field goes upstream as it came, when the whole reply is fetched.
    private func mayForward(_ name: String, _ names: ForwardedFieldNames) -> Bool {
        if asksForIdentity, name.isASCII("accept-encoding") { return false }
        if disregardsAuthorization, name.isASCII("authorization") { return false }
        return !Self.answeredHere.contains { name.isSameASCII(as: $0) } && names.contains(name)
    }

    /// Whether the client asks for the upstream's word as of now: `no-cache`, or `max-age=0`.
    package var insistsOnUpstream: Bool { directives.noCache || directives.maxAgeSeconds == 0 }

    /// Whether the client forbids that the reply is stored (RFC 9111 §5.2.1.5).
    package var forbidsStoring: Bool { directives.noStore }

    /// Whether the upstream sees an `Authorization`, which several clients may have different ones of (RFC 9111 §3.5).
    var carriesAuthorization: Bool { hasAuthorization && !forwardedLines("authorization").isEmpty }

    /// Whether the upstream sees something of its own by which it may tell who asks: `Authorization` or `Cookie`.
    package var carriesCredentials: Bool { carriesAuthorization || !forwardedLines("cookie").isEmpty }

    /// The same request, as if it were for the whole reply: HEAD confirms what was stored for GET (RFC 9111 §4.3.5).
    package var asGet: CacheRequest {
        var request = self
        request.isGet = true
        return request
    }
}
