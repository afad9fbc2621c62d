/// The kinds of traffic that share one breaker.
package enum Traffic: Sendable {
    /// Deliveries from the outbox: refused while the breaker is open, and limited to what the upstream takes at a time.
    case delivery
    /// Reads and revalidations: refused while the breaker is open, not limited in number.
    case read
    /// Pass-through: refused only while the breaker is open *and* no connection to the upstream can be made (design §4).
    case passThrough
}

/// Leave to send one request; hand it back with ``CircuitBreaker/ended(_:_:now:using:)`` whatever became of it.
package struct Permit: Sendable, Hashable {
    /// Grows with every permit, so that permits can be put in order.
    let id: UInt64
    /// The number of times the breaker had closed when the permit was given.
    let epoch: UInt64
    let origin: OriginKey
    let traffic: Traffic

    /// Whether this request is the one that finds out if the upstream is back.
    package let isProbe: Bool
}

/// The breaker's answer to a request that wants to go upstream.
package enum Admission: Sendable, Hashable {
    /// Go now.
    case go(Permit)
    /// The upstream is believed to be gone; asking again before `retryAt` is pointless.
    case refused(retryAt: ContinuousClock.Instant)
    /// The upstream takes no further delivery until one that is in flight ends.
    case saturated
}

/// What one request taught about the upstream.
package enum Signal: Sendable, Hashable {
    /// A whole reply head arrived with this status.
    case answered(status: Int)
    /// No connection could be made: refused, no route, no address, no TLS, connect timeout.
    case unreachable
    /// A connection was there, and no reply came in time.
    case timeout
    /// A connection was there, and was cut or spoke something other than HTTP.
    case broken
    /// Nothing was learnt: the request was cancelled or never sent for reasons of our own.
    case abandoned
}
