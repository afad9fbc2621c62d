import ResponseCache

/// How a read was answered, as far as the cache had a part in it.
package enum ReadResult: Int, Sendable, CaseIterable {
    /// From what is stored, and it was fresh.
    case hit
    /// From what is stored, past its life or in doubt: by permission, or as the upstream fails.
    case stale
    /// From what is stored, once the upstream had confirmed it.
    case revalidated
    /// With the upstream's reply.
    case fetched
    /// With the upstream's reply to somebody else's request.
    case collapsed
    /// With an error of the relay's own.
    case failed

    /// The name in metrics.
    package var name: String {
        switch self {
        case .hit: "hit"
        case .stale: "stale"
        case .revalidated: "revalidated"
        case .fetched: "fetched"
        case .collapsed: "collapsed"
        case .failed: "failed"
        }
    }

    /// What an answer is that the cache has a reply for; on the hit path, so it only looks.
    init(_ hit: CacheHit, _ additions: WireAdditions?, nowMilliseconds: Int64) {
        guard let status = additions?.cacheStatus else {
            self = hit.response.freshness.ttlSeconds(nowMilliseconds) > 0 ? .hit : .stale
            return
        }
        guard additions?.isFetched == true else {
            self = .stale
            return
        }
        self = status.isCollapsed ? .collapsed : status.forwardStatus == 304 ? .revalidated : .fetched
    }
}
