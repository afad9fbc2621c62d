/// The latest outcomes, and whether they say that the upstream is not there.
///
/// Successes count as much as failures: an upstream that answers most requests is there, whatever the others ran into.
struct FailureWindow {
    private struct Outcome {
        var at: ContinuousClock.Instant
        var isFailure: Bool
        /// `nil` where the failure is evidence about the upstream and about no origin.
        var origin: OriginKey?
    }

    private let maxOutcomes: Int
    private let maxAge: Duration
    private let minFailures: Int
    private var outcomes: [Outcome] = []
    private var unreachableRun = 0

    init(_ configuration: BreakerConfiguration) {
        self.maxOutcomes = configuration.windowOutcomes
        self.maxAge = configuration.windowAge
        self.minFailures = configuration.minFailures
        self.outcomes.reserveCapacity(self.maxOutcomes + 1)
    }

    /// Whether enough failures make up at least half of the outcomes, or enough connections in a row could not be made.
    var saysGone: Bool {
        let failures = self.outcomes.count { $0.isFailure }
        return self.unreachableRun >= self.minFailures
            || failures >= self.minFailures && failures * 2 >= self.outcomes.count
    }

    mutating func recordSuccess(now: ContinuousClock.Instant) {
        self.unreachableRun = 0
        self.append(Outcome(at: now, isFailure: false, origin: nil))
    }

    /// Records a connection that could not be made, which is no request's fault, so that every one counts.
    mutating func recordUnreachable(now: ContinuousClock.Instant) {
        self.unreachableRun += 1
        self.append(Outcome(at: now, isFailure: true, origin: nil))
    }

    /// Records a failure that may be the origin's own fault, so that it counts once in the window.
    mutating func recordFailure(of origin: OriginKey, now: ContinuousClock.Instant) {
        self.forgetOld(now)
        guard !self.outcomes.contains(where: { $0.origin == origin }) else { return }
        self.append(Outcome(at: now, isFailure: true, origin: origin))
    }

    mutating func reset() {
        self.outcomes.removeAll(keepingCapacity: true)
        self.unreachableRun = 0
    }

    private mutating func append(_ outcome: Outcome) {
        self.forgetOld(outcome.at)
        self.outcomes.append(outcome)
        if self.outcomes.count > self.maxOutcomes { self.outcomes.removeFirst() }
    }

    private mutating func forgetOld(_ now: ContinuousClock.Instant) {
        guard let first = self.outcomes.first, now - first.at > self.maxAge else { return }
        self.outcomes.removeAll { now - $0.at > self.maxAge }
    }
}
