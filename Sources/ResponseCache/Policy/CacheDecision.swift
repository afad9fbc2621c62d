/// What a stored reply is good for, for one request at one moment (RFC 9111 §4).
enum CacheDecision: Equatable {
    case fresh
    /// Usable now; `revalidate` where the permission is that of `stale-while-revalidate`.
    case stale(revalidate: Bool)
    /// Only after the upstream has confirmed it.
    case validate(CacheStatus.Forward)

    /// Decides; `isInvalidated` for what a later unsafe request has put in doubt (RFC 9111 §4.4).
    @inline(__always)
    static func decide(
        _ freshness: Freshness,
        isInvalidated: Bool,
        _ request: RequestDirectives,
        nowMilliseconds: Int64
    ) -> CacheDecision {
        if freshness.mustAlwaysValidate || isInvalidated { return .validate(.stale) }
        if request.noCache { return .validate(.request) }
        let age = freshness.ageSeconds(nowMilliseconds)
        let ttl = freshness.lifetimeSeconds - age
        if let maxAge = request.maxAgeSeconds, age > maxAge { return .validate(.request) }
        if ttl > 0 {
            if let minFresh = request.minFreshSeconds, ttl < minFresh { return .validate(.request) }
            return .fresh
        }
        if freshness.forbidsStale || request.minFreshSeconds != nil { return .validate(.stale) }
        let mayRevalidate = -ttl < freshness.staleWhileRevalidateSeconds
        // What a client says itself of stale replies goes before the reply's permission (RFC 9111 §5.2.1.2); a max-age
        // alone refuses what is stale, however young (§5.2.1.1).
        let isWelcome =
            request.maxStale == nil
            ? request.maxAgeSeconds == nil && mayRevalidate : request.accepts(staleSeconds: -ttl)
        return isWelcome ? .stale(revalidate: mayRevalidate) : .validate(.stale)
    }

    /// Whether a stored reply may be served for an upstream that failed (RFC 5861 §4, RFC 9111 §4.2.4).
    ///
    /// A request's own `no-cache` or `max-age` says what it prefers; a reply's `no-cache` and `must-revalidate` forbid. What
    /// a write has invalidated within the lifetime that it was given is served: nobody can say anything newer.
    ///
    /// - Parameter isDisconnected: Whether the upstream cannot be reached, or has not served the request; else it has
    ///   answered with an error.
    static func mayServeOnError(
        _ freshness: Freshness,
        isInvalidated: Bool,
        isDisconnected: Bool,
        _ request: RequestDirectives,
        nowMilliseconds: Int64
    ) -> Bool {
        if freshness.mustAlwaysValidate { return false }
        let ttl = freshness.ttlSeconds(nowMilliseconds)
        if freshness.forbidsStale { return ttl > 0 && !isInvalidated }
        if ttl > 0 { return true }
        let permitted = isDisconnected ? freshness.staleIfDisconnectedSeconds : freshness.staleIfErrorSeconds
        let limit = request.staleIfErrorSeconds ?? permitted
        return limit > 0 && -ttl <= limit || request.accepts(staleSeconds: -ttl)
    }
}
