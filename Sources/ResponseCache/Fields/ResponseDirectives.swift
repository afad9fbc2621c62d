import NIOHTTP1

/// What a reply says about its caching (RFC 9111 §5.2.2, RFC 5861, RFC 9213), contradictions settled towards safety.
///
/// A lifetime that is malformed, missing its argument, or given twice with different values is zero: the reply is
/// stale from the start (RFC 9111 §4.2.1). `private` and `no-cache` with field names count as without.
struct ResponseDirectives: Equatable {
    var noStore = false
    var noCache = false
    var isPrivate = false
    var isPublic = false
    var mustRevalidate = false
    var proxyRevalidate = false
    var mustUnderstand = false
    var maxAgeSeconds: Int64?
    var sharedMaxAgeSeconds: Int64?
    var staleWhileRevalidateSeconds: Int64?
    var staleIfErrorSeconds: Int64?
    /// They come from a field for caches like this one, so `Expires` does not count (RFC 9213 §2.2).
    var isTargeted = false

    init() {}

    /// Reads the first valid field of `targetedFields`, else `Cache-Control`, else `Pragma`.
    init(_ headers: HTTPHeaders, targetedFields: [String] = []) {
        for name in targetedFields {
            guard let directives = TargetedField.directives(headers[name]) else { continue }
            self.init(directives)
            isTargeted = true
            return
        }
        let lines = headers["Cache-Control"]
        self.init(CacheDirectiveReader(lines).directives)
        // RFC 9111 §5.4 gives Pragma a meaning in requests only; servers that send it with a reply mean the same.
        if lines.isEmpty, Pragma.saysNoCache(headers["Pragma"]) { noCache = true }
    }

    init(_ directives: [CacheDirective]) {
        for directive in directives {
            switch directive.name {
            case "no-store": noStore = true
            case "no-cache": noCache = true
            case "private": isPrivate = true
            case "public": isPublic = true
            case "must-revalidate": mustRevalidate = true
            case "proxy-revalidate": proxyRevalidate = true
            case "must-understand": mustUnderstand = true
            case "max-age": Self.note(directive, in: &maxAgeSeconds)
            case "s-maxage": Self.note(directive, in: &sharedMaxAgeSeconds)
            case "stale-while-revalidate": Self.note(directive, in: &staleWhileRevalidateSeconds)
            case "stale-if-error": Self.note(directive, in: &staleIfErrorSeconds)
            default: break
            }
        }
    }

    private static func note(_ directive: CacheDirective, in value: inout Int64?) {
        let seconds = directive.seconds ?? 0
        value = value.map { $0 == seconds ? $0 : 0 } ?? seconds
    }
}

/// The `Pragma` field (RFC 9111 §5.4).
enum Pragma {
    static func saysNoCache(_ lines: [String]) -> Bool {
        !lines.isEmpty && CacheDirectiveReader(lines).directives.contains { $0.name == "no-cache" }
    }
}
