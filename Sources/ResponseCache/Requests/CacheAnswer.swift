package import NIOHTTP1

/// What the cache has to say to a request.
package enum CacheAnswer: Sendable {
    /// Usable now.
    case fresh(CacheHit)
    /// Usable now, though stale; to be revalidated behind the client's back where `revalidate` says how.
    case stale(CacheHit, revalidate: CacheValidation?)
    /// There is something, but the upstream must confirm it first.
    case validate(CacheValidation)
    /// There is nothing.
    case miss(CacheMiss)
    /// There is nothing usable, and the client wants nothing else (RFC 9111 §5.2.1.7): 504.
    case onlyIfCached504
    /// Not for the cache; to be forwarded as it is, and its reply not stored.
    case bypass
}

/// A miss: why, and what to come back with.
package struct CacheMiss: Sendable {
    /// For `Cache-Status`.
    package let forward: CacheStatus.Forward
    /// To be handed over with the reply.
    package let token: FetchToken
}

/// A stored reply that needs to be confirmed.
package struct CacheValidation: Sendable {
    /// What to confirm.
    package let response: StoredResponse
    /// Why, for `Cache-Status`.
    package let forward: CacheStatus.Forward
    /// To be handed over with the reply.
    package let token: FetchToken
    /// Whether a later write has put it in doubt, however fresh it would still be (RFC 9111 §4.4).
    package let isInvalidated: Bool
    /// The time of the upstream's health in which it did not answer when it was to confirm this a moment ago: while that
    /// lasts, who may be shown something stale need not wait for it again (P6).
    package var failedEpisode: UInt64?

    /// Puts the stored reply's conditions into a request's fields, in place of the client's own conditions and ranges,
    /// which are answered here (RFC 9111 §4.3.1); without a validator the request asks for the whole reply.
    package func addConditions(to headers: inout HTTPHeaders) {
        for name in CacheRequest.fieldsAnsweredHere { headers.remove(name: name) }
        for (name, value) in Freshening.conditions(response) { headers.add(name: name, value: value) }
    }
}

/// A stored reply in the place of one that the upstream did not give.
package struct StandIn: Sendable {
    /// What to answer.
    package internal(set) var hit: CacheHit
    /// Whether a later write has put it in doubt.
    package let isInvalidated: Bool
}

/// The moment at which something was asked of the upstream, on the cache's own count of what has happened to it.
///
/// A reply that was asked for before an invalidation is stored as invalidated, so that a slow GET cannot bring back
/// what a write has replaced meanwhile.
package struct FetchToken: Sendable, Equatable {
    /// What had happened to all keys.
    let sequence: UInt64
    /// What single keys' own writes had invalidated.
    let ownSequence: UInt64
}
