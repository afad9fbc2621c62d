/// The numbers of design §4, named.
package struct BreakerConfiguration: Sendable, Hashable {
    /// Failures of distinct origins in a row that open the breaker.
    package var consecutiveFailures = 5
    /// How many outcomes the window remembers; half of them being failures opens the breaker.
    package var windowOutcomes = 20
    /// The first open interval's upper bound; doubles with every failed probe.
    package var initialOpenInterval: Duration = .seconds(1)
    /// The upper bound of every open interval.
    package var maxOpenInterval: Duration = .seconds(60)
    /// The lower bound of every open interval.
    ///
    /// Full jitter draws from zero, and a draw near zero would probe an upstream again in the millisecond in which it
    /// failed: several times over while the bound is still small, which is no pause at all. A quarter of a second
    /// is too short for anyone to notice and long enough to be one.
    package var minOpenInterval: Duration = .milliseconds(250)
    /// How long origins without a failure have the probe to themselves before others may take it.
    package var probePreference: Duration = .milliseconds(250)
    /// After this long a probe that was never handed back is given up, so that a lost permit cannot keep
    /// the breaker half open for ever.
    package var maxProbeDuration: Duration = .seconds(60)
    /// What a request is told to wait that comes while another one probes.
    package var probeRetryInterval: Duration = .seconds(1)
    /// Deliveries in flight once slow start is over (`upstream.max_concurrent_writes`).
    package var maxConcurrentDeliveries: Int

    /// Takes the design's numbers, and the operator's limit of concurrent deliveries (at least 1).
    package init(maxConcurrentDeliveries: Int = 8) {
        self.maxConcurrentDeliveries = max(1, maxConcurrentDeliveries)
    }
}
