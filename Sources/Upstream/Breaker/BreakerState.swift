/// The breaker's position.
package enum BreakerState: Sendable, Hashable {
    /// Requests flow.
    case closed
    /// Requests are refused until the instant, then one of them probes.
    case open(until: ContinuousClock.Instant)
    /// One request at a time probes.
    case halfOpen

    /// The name that status pages, metrics and logs use: `closed`, `open` or `half_open`.
    package var name: String {
        switch self {
        case .closed: "closed"
        case .open: "open"
        case .halfOpen: "half_open"
        }
    }
}

/// How often the breaker has come into each position since the daemon started.
package struct BreakerTransitions: Sendable, Hashable {
    /// Into `closed`.
    package var closed: UInt64 = 0
    /// Into `open`.
    package var open: UInt64 = 0
    /// Into `half_open`.
    package var halfOpen: UInt64 = 0

    mutating func count(to state: BreakerState) {
        switch state {
        case .closed: closed += 1
        case .open: open += 1
        case .halfOpen: halfOpen += 1
        }
    }
}

/// One change of the breaker's position.
package struct BreakerTransition: Sendable, Hashable {
    /// The position before.
    package let from: BreakerState
    /// The position after.
    package let to: BreakerState
}
