/// The upstream's health at one moment, for status pages, metrics and the delivery engine.
package struct HealthSnapshot: Sendable, Hashable {
    /// Grows with every change, so that an observer can tell which of two snapshots is the newer one.
    package let revision: UInt64
    /// `closed`, `open` or `half_open`.
    package let state: String
    /// Whether the latest attempt found somebody to connect to (``CircuitBreaker/isReachable``).
    package let isReachable: Bool
    /// When the state last became `closed` or left it, in milliseconds of wall-clock time since 1970.
    package let sinceUnixMilliseconds: Int64
    /// How long until the next probe, in milliseconds; `nil` unless the state is `open`.
    package let nextProbeMilliseconds: Int64?
    /// Failures since the last reply below 500.
    package let consecutiveFailures: Int
    /// What the last failure was, in words; `nil` before the first one.
    package let lastError: String?
    /// Deliveries that may be in flight at present.
    package let concurrencyLimit: Int
    /// How often the breaker has changed its state.
    package let transitions: BreakerTransitions

    /// Whether waiting for the upstream's own reply makes sense (design §3.2).
    package var isBelievedHealthy: Bool { self.state == BreakerState.closed.name && self.isReachable }
}
