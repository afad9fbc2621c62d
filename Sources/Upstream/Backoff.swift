/// Exponential backoff with full jitter, from the attempt count alone (design §3.3).
///
/// Full jitter (a uniform draw from zero to the bound) spreads entries that failed together over the whole interval,
/// where a fixed delay would send them all back at once.
package struct Backoff: Sendable, Hashable {
    /// The upper bound after the first attempt.
    package let initial: Duration
    /// The upper bound that is never exceeded.
    package let max: Duration

    /// Takes both bounds; a negative one counts as zero.
    package init(initial: Duration, max: Duration) {
        self.initial = Swift.max(.zero, initial)
        self.max = Swift.max(.zero, max)
    }

    /// The upper bound after `attempt` attempts (the first is 1): `initial`, doubled with each, up to `max`.
    package func bound(attempt: Int) -> Duration {
        var bound = Swift.min(self.initial, self.max)
        var doublings = Swift.min(Swift.max(attempt, 1), 64) - 1
        while doublings > 0, bound < self.max {
            bound = Swift.min(bound * 2, self.max)
            doublings -= 1
        }
        return bound
    }

    /// How long to wait before the next attempt after `attempt` attempts have failed.
    package func delay(attempt: Int, using generator: inout some RandomNumberGenerator) -> Duration {
        let boundNanoseconds = self.bound(attempt: attempt).wholeNanoseconds
        return .nanoseconds(Int64.random(in: 0...boundNanoseconds, using: &generator))
    }
}
