/// Which requests meet which faults; decides and counts, without I/O, clock or true randomness.
struct FaultPlan: Sendable {
    private(set) var mode = FaultMode.up
    private(set) var latencyMilliseconds = 0
    /// Added to the latency: between nothing and this, evenly spread.
    private(set) var latencyJitterMilliseconds = 0
    /// In the order in which they are looked at; the first that meets a request acts.
    private(set) var rules: [FaultRule] = []
    private var generator: SplitMix64

    /// What happens to one request.
    struct Decision: Sendable, Equatable {
        /// How long the reply is held back after the request has been applied.
        var delayMilliseconds: Int
        /// nil where all goes well.
        var effect: FaultEffect?
    }

    init(seed: UInt64 = 1) {
        generator = SplitMix64(seed: seed)
    }

    /// Decides about one request, and uses up one of the counted rule that meets it.
    mutating func decide(_ request: SimulatorRequest) -> Decision {
        guard mode != .blackHole else { return Decision(delayMilliseconds: 0, effect: .blackHole) }
        var decision = Decision(delayMilliseconds: latencyMilliseconds, effect: nil)
        if latencyJitterMilliseconds > 0 {
            decision.delayMilliseconds += Int.random(in: 0...latencyJitterMilliseconds, using: &generator)
        }
        guard let index = rules.firstIndex(where: { $0.meets(request) }) else { return decision }
        decision.effect = rules[index].effect
        if let remaining = rules[index].remaining {
            if remaining > 1 { rules[index].remaining = remaining - 1 } else { rules.remove(at: index) }
        }
        return decision
    }

    mutating func set(mode: FaultMode) {
        self.mode = mode
    }

    mutating func set(latencyMilliseconds: Int) {
        self.latencyMilliseconds = latencyMilliseconds
    }

    mutating func set(latencyJitterMilliseconds: Int) {
        self.latencyJitterMilliseconds = latencyJitterMilliseconds
    }

    /// Puts these rules in place of all of their kind; rules with a count of 0 never act and are dropped.
    mutating func set(_ rules: [FaultRule], of kind: FaultEffect.Kind) {
        let acting = rules.filter { $0.remaining.map { $0 > 0 } ?? true }
        self.rules = FaultEffect.Kind.allCases.flatMap { each in
            each == kind ? acting : self.rules.filter { $0.effect.kind == each }
        }
    }

    /// Clears everything; the mode becomes `up`.
    mutating func clear() {
        mode = .up
        (latencyMilliseconds, latencyJitterMilliseconds) = (0, 0)
        rules = []
    }
}
