/// Whose turn it is to probe: origins without a failure first, the last prober last.
struct ProbeTurns {
    /// Enough to tell the poisonous from the rest; beyond it the oldest are forgotten and merely get another chance.
    static let maxRemembered = 256

    struct Probe {
        let permit: UInt64
        let givenUpAt: ContinuousClock.Instant
    }

    private let preference: Duration
    private var failedInOrder: [OriginKey] = []
    private var failed: Set<OriginKey> = []
    private var lastProber: OriginKey?
    private(set) var current: Probe?

    init(preference: Duration) {
        self.preference = preference
    }

    /// When the origin may probe, given since when anyone may.
    func turn(of origin: OriginKey, from opening: ContinuousClock.Instant) -> ContinuousClock.Instant {
        if origin == self.lastProber { return opening + self.preference * 2 }
        return self.failed.contains(origin) ? opening + self.preference : opening
    }

    mutating func start(_ permit: Permit, givenUpAt: ContinuousClock.Instant) {
        self.current = Probe(permit: permit.id, givenUpAt: givenUpAt)
        self.lastProber = permit.origin
    }

    mutating func end(_ permit: Permit) -> Bool {
        guard self.current?.permit == permit.id else { return false }
        self.current = nil
        return true
    }

    mutating func noteFailure(of origin: OriginKey) {
        guard self.failed.insert(origin).inserted else { return }
        self.failedInOrder.append(origin)
        if self.failedInOrder.count > Self.maxRemembered {
            self.failed.remove(self.failedInOrder.removeFirst())
        }
    }

    mutating func noteSuccess(of origin: OriginKey) {
        guard self.failed.remove(origin) != nil else { return }
        self.failedInOrder.removeAll { $0 == origin }
    }

    /// Starts afresh when the breaker closes; which origins failed is still worth knowing in the next outage.
    mutating func reset() {
        self.current = nil
        self.lastProber = nil
    }
}
