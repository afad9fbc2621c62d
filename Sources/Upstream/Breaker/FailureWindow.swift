/// The last outcomes, and whether they say that the upstream is not there.
struct FailureWindow {
    private enum Outcome {
        case success
        /// `nil` where the failure is evidence about the upstream and about no origin.
        case failure(OriginKey?)

        func isFailure(of origin: OriginKey) -> Bool {
            if case .failure(origin) = self { true } else { false }
        }
    }

    private let maxOutcomes: Int
    private let maxRun: Int
    private var outcomes: [Outcome] = []
    private var failures = 0
    private var runLength = 0
    private var runOrigins: Set<OriginKey> = []

    init(maxOutcomes: Int, maxRun: Int) {
        self.maxOutcomes = maxOutcomes
        self.maxRun = maxRun
        self.outcomes.reserveCapacity(maxOutcomes + 1)
    }

    /// Whether there were enough failures in a row, or half of a full window.
    var saysGone: Bool {
        self.runLength >= self.maxRun || self.failures * 2 >= self.maxOutcomes
    }

    mutating func recordSuccess() {
        self.append(.success)
        self.runLength = 0
        self.runOrigins.removeAll(keepingCapacity: true)
    }

    /// Records a failure that blames the upstream whoever asked, so every one of them counts.
    mutating func recordUnreachable() {
        self.append(.failure(nil))
        self.runLength += 1
    }

    /// Records a failure that may be the origin's own fault, so it counts once in the run and once in the window.
    mutating func recordFailure(of origin: OriginKey) {
        if self.runOrigins.insert(origin).inserted {
            self.runLength += 1
        }
        if !self.outcomes.contains(where: { $0.isFailure(of: origin) }) {
            self.append(.failure(origin))
        }
    }

    mutating func reset() {
        self = FailureWindow(maxOutcomes: self.maxOutcomes, maxRun: self.maxRun)
    }

    private mutating func append(_ outcome: Outcome) {
        self.outcomes.append(outcome)
        if case .failure = outcome { self.failures += 1 }
        if self.outcomes.count > self.maxOutcomes, case .failure = self.outcomes.removeFirst() {
            self.failures -= 1
        }
    }
}
