/// The limit of deliveries in flight: grows by one with each success, halves when the upstream is overtaxed.
struct SlowStart {
    private(set) var maximum: Int
    private(set) var limit: Int
    private var inFlight: Set<UInt64> = []
    /// Permits up to this one were given before the last halving.
    private var halvedUpTo: UInt64 = 0

    init(maximum: Int) {
        self.maximum = maximum
        self.limit = maximum
    }

    /// Takes another maximum; a limit that slow start does not keep down follows it.
    mutating func setMaximum(_ maximum: Int) {
        self.limit = self.limit == self.maximum ? maximum : min(self.limit, maximum)
        self.maximum = maximum
    }

    var isFull: Bool { self.inFlight.count >= self.limit }
    var inFlightCount: Int { self.inFlight.count }

    mutating func start(_ permit: UInt64) {
        self.inFlight.insert(permit)
    }

    /// Frees the permit's place; false if it held none, because it is not a delivery or was handed back before.
    mutating func end(_ permit: UInt64) -> Bool {
        self.inFlight.remove(permit) != nil
    }

    mutating func grow() {
        self.limit = min(self.maximum, self.limit + 1)
    }

    /// Halves the limit, once for all requests that were in flight together.
    ///
    /// Eight deliveries that run into one rate limit are one piece of news, not eight: without this a single
    /// burst would always end at 1, whatever the limit was.
    mutating func halve(for permit: UInt64, lastGiven: UInt64) {
        guard permit > self.halvedUpTo else { return }
        self.halvedUpTo = lastGiven
        self.limit = max(1, self.limit / 2)
    }

    mutating func restart() {
        self.limit = 1
    }
}
