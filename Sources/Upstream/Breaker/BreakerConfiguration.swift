/// The numbers of design §4, named.
package struct BreakerConfiguration: Sendable, Hashable {
    /// Failures of distinct origins that open the breaker at the least, if they are half of all outcomes in the window;
    /// so many connections in a row that cannot be made open it whatever succeeded before.
    package var minFailures = 5
    /// Outcomes, successes included, that the window remembers at most.
    package var windowOutcomes = 20
    /// How long the window remembers an outcome.
    package var windowAge: Duration = .seconds(60)
    /// How often the daemon tries a connection of its own while the upstream is away (`upstream.probe_interval`); with it
    /// requests are let through when such a connection stood, and by themselves only after `maxOpenInterval`.
    ///
    /// Without it requests probe, after intervals that grow.
    package var probeInterval: Duration?
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
    /// Deliveries in flight at most, however fast the upstream is (`upstream.max_concurrent_writes`).
    package var maxConcurrentDeliveries: Int

    /// Takes the design's numbers, and the operator's limit of concurrent deliveries (at least 1).
    package init(maxConcurrentDeliveries: Int = 8) {
        self.maxConcurrentDeliveries = max(1, maxConcurrentDeliveries)
    }
}
