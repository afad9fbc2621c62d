/// What a request says about caching (RFC 9111 §5.2.1, RFC 5861 §4), contradictions settled towards fresh replies.
struct RequestDirectives: Equatable, Sendable {
    /// How stale a reply may be.
    enum MaxStale: Equatable, Sendable {
        case any
        case seconds(Int64)
    }

    var noCache = false
    var noStore = false
    var onlyIfCached = false
    var maxAgeSeconds: Int64?
    var minFreshSeconds: Int64?
    var maxStale: MaxStale?
    var staleIfErrorSeconds: Int64?

    init() {}

    init(_ lines: [String]) {
        for directive in CacheDirectiveReader(lines).directives {
            switch directive.name {
            case "no-cache": noCache = true
            case "no-store": noStore = true
            case "only-if-cached": onlyIfCached = true
            case "max-age": maxAgeSeconds = min(maxAgeSeconds ?? .max, directive.seconds ?? 0)
            case "min-fresh":
                // What cannot be read asks for more than can be promised.
                guard let seconds = directive.seconds else { noCache = true; continue }
                minFreshSeconds = max(minFreshSeconds ?? 0, seconds)
            case "max-stale": maxStale = Self.tighter(maxStale, directive)
            case "stale-if-error": staleIfErrorSeconds = min(staleIfErrorSeconds ?? .max, directive.seconds ?? 0)
            default: break
            }
        }
    }

    private static func tighter(_ known: MaxStale?, _ directive: CacheDirective) -> MaxStale {
        let stated: MaxStale = directive.argument == .none ? .any : .seconds(directive.seconds ?? 0)
        switch (known, stated) {
        case (nil, _), (.any, _): return stated
        case (let known?, .any): return known
        case (.seconds(let one), .seconds(let other)): return .seconds(min(one, other))
        }
    }

    /// Whether a reply that has been stale for so long is welcome.
    func accepts(staleSeconds: Int64) -> Bool {
        switch maxStale {
        case nil: false
        case .any: true
        case .seconds(let seconds): staleSeconds <= seconds
        }
    }
}
