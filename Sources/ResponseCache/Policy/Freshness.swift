import DexatelAPI
import NIOHTTP1

/// For how long a stored reply is good, and what may be done with it afterwards.
package struct Freshness: Sendable, Equatable {
    /// The monotonic moment from which its age counts.
    package var bornMilliseconds: Int64
    /// The freshness lifetime (RFC 9111 §4.2.1).
    package var lifetimeSeconds: Int64
    /// RFC 5861 §3; 0: not at all.
    package var staleWhileRevalidateSeconds: Int64
    /// RFC 5861 §4; 0: not at all.
    package var staleIfErrorSeconds: Int64
    /// For how long it may be served stale while the upstream cannot be reached at all (RFC 9111 §4.2.4); 0: not at all.
    package var staleIfDisconnectedSeconds: Int64
    /// Usable only after the upstream has confirmed it (RFC 9111 §5.2.2.4).
    package var mustAlwaysValidate: Bool
    /// Never usable once stale, come what may (RFC 9111 §5.2.2.2, §5.2.2.8, §5.2.2.10).
    package var forbidsStale: Bool

    /// The current age (RFC 9111 §4.2.3), whole seconds.
    package func ageSeconds(_ nowMilliseconds: Int64) -> Int64 { max(0, nowMilliseconds - bornMilliseconds) / 1000 }

    /// Remaining freshness in whole seconds; zero or less when stale.
    package func ttlSeconds(_ nowMilliseconds: Int64) -> Int64 { lifetimeSeconds - ageSeconds(nowMilliseconds) }
}

extension Freshness {
    /// Where a lifetime came from.
    enum Source: Equatable {
        case explicit
        case heuristic
        /// The reply states none, and none may be assumed: stale at once.
        case none
    }

    /// What a lifetime depends on.
    struct Subject {
        var status: Int
        var headers: HTTPHeaders
        var directives: ResponseDirectives
        var target: String
        var isShared: Bool
        /// Whether the request carried credentials beside the API key.
        var carriesCredentials = false
        var times: ExchangeTimes

        /// Whether the relay may assume for others what the reply does not say: not for what one user's credentials
        /// have brought into the shared cache.
        var admitsDefaults: Bool { !(isShared && carriesCredentials) }
    }

    /// Finds the freshness lifetime in the order of RFC 9111 §4.2.1.
    static func lifetimeSeconds(_ subject: Subject, _ configuration: CacheConfiguration) -> (Int64, Source) {
        let directives = subject.directives
        if subject.isShared, let seconds = directives.sharedMaxAgeSeconds { return (seconds, .explicit) }
        if let seconds = directives.maxAgeSeconds { return (seconds, .explicit) }
        if !directives.isTargeted, let seconds = expiresSeconds(subject.headers, subject.times) {
            return (seconds, .explicit)
        }
        guard subject.admitsDefaults, configuration.appliesDefaults(subject.target),
            !StatusRules.isFailure(subject.status),
            StatusRules.isHeuristicallyCacheable(subject.status) || directives.isPublic
        else { return (0, .none) }
        let seconds = subject.status >= 400 ? configuration.negativeTTLSeconds : configuration.defaultTTLSeconds
        return (seconds, .heuristic)
    }

    /// `Expires` less `Date`; a date that cannot be read, or two that differ, are in the past (RFC 9111 §5.3).
    private static func expiresSeconds(_ headers: HTTPHeaders, _ times: ExchangeTimes) -> Int64? {
        let lines = headers["Expires"]
        guard let first = lines.first else { return nil }
        guard lines.allSatisfy({ $0 == first }), let expires = HTTPDate.first("Expires", headers, times) else {
            return 0
        }
        let date = HTTPDate.earliest("Date", headers, times) ?? times.responseUnixSeconds
        return min(max(0, expires - date), DeltaSeconds.max)
    }

    /// All there is to know about the freshness of a reply.
    static func of(_ subject: Subject, _ configuration: CacheConfiguration) -> (Freshness, Source) {
        let directives = subject.directives
        let (lifetime, source) = lifetimeSeconds(subject, configuration)
        let forbidsStale =
            directives.mustRevalidate
            || subject.isShared && (directives.proxyRevalidate || directives.sharedMaxAgeSeconds != nil)
        // The defaults are for replies that say nothing of their lifetime and are worth anything stale: errors only while
        // the upstream fails, and only those that say "it is not there".
        let hasDefaults = source == .heuristic && lifetime > 0
        let isKept = subject.status < 400 || subject.status == 404 || subject.status == 410
        let whileRevalidate = hasDefaults && subject.status < 400 ? configuration.staleWhileRevalidateSeconds : 0
        let ifError = hasDefaults && isKept ? configuration.staleIfErrorSeconds : 0
        // Without a word against it, a reply that was good for a while may be served by a cache that is cut off.
        let isWorthKeeping = isKept && lifetime > 0 && subject.admitsDefaults
        let ifDisconnected = isWorthKeeping ? configuration.staleIfErrorSeconds : 0
        let isError = StatusRules.givesWay(subject.status)
        let freshness = Freshness(
            bornMilliseconds: subject.times.bornMilliseconds(subject.headers),
            lifetimeSeconds: lifetime,
            staleWhileRevalidateSeconds: directives.staleWhileRevalidateSeconds ?? whileRevalidate,
            staleIfErrorSeconds: isError ? 0 : directives.staleIfErrorSeconds ?? ifError,
            staleIfDisconnectedSeconds: isError ? 0 : directives.staleIfErrorSeconds ?? ifDisconnected,
            mustAlwaysValidate: directives.noCache,
            forbidsStale: forbidsStale
        )
        return (freshness, source)
    }
}
