/// The limit of deliveries in flight, which finds out by itself how many the upstream takes at a time.
///
/// - Up to ``floor`` it grows by one with each success, as after an outage (slow start).
/// - Beyond that it doubles with each round of replies, and after the first sign of strain grows by one with each, while
///   deliveries wait for a place and replies come as fast as they did. A round is as many replies as the limit had places.
/// - Replies that take more than twice as long as in the fastest round, and a little more, are a sign of strain: it shrinks by a
///   quarter, but not below the floor, as the upstream serves so many all the same.
/// - A 429, a 503 or a timeout halves it, down to one.
///
/// What the upstream takes for a reply changes with time, and a limit that strains it always would pass for the way it is. Now
/// and then a round is measured at the floor.
struct ConcurrencyLimit: Sendable {
    /// Deliveries in flight that every upstream is trusted with until it says otherwise.
    static let floor = 8
    /// What replies may take longer than twice the time of the fastest round.
    static let tolerance: Duration = .milliseconds(5)
    /// After this long what replies take is measured anew.
    static let maxBaselineAge: Duration = .seconds(30)

    private(set) var maximum: Int
    private(set) var limit: Int
    /// When each was begun.
    private var inFlight: [UInt64: ContinuousClock.Instant] = [:]
    /// Permits up to this one were given before the last halving.
    private var halvedUpTo: UInt64 = 0
    /// Whether nothing has shown strain since the upstream came back.
    private var doubles = true
    /// Whether a delivery had to wait for a place since the round began.
    private var isWanted = false
    /// What the replies of this round took.
    private var round: [Duration] = []
    /// What the replies of the fastest round took, and when that was measured.
    private var baseline: (latency: Duration, at: ContinuousClock.Instant)?
    /// The limit that comes back after a round at the floor, and the last permit that was given before it.
    private var measuring: (limit: Int, after: UInt64)?

    init(maximum: Int) {
        self.maximum = maximum
        self.limit = min(maximum, Self.floor)
    }

    private var lowest: Int { min(self.maximum, Self.floor) }

    /// Takes another maximum.
    mutating func setMaximum(_ maximum: Int) {
        self.maximum = maximum
        self.limit = min(self.limit, maximum)
        self.measuring = self.measuring.map { (min($0.limit, maximum), $0.after) }
    }

    /// Whether no place is free; asked by a delivery that wants one.
    mutating func isFull() -> Bool {
        guard self.inFlight.count >= self.limit else { return false }
        self.isWanted = true
        return true
    }

    var inFlightCount: Int { self.inFlight.count }

    mutating func start(_ permit: UInt64, now: ContinuousClock.Instant) {
        self.inFlight[permit] = now
    }

    /// Frees the permit's place.
    ///
    /// - Returns: When it was begun; nil if it held none, because it is not a delivery or was handed back before.
    mutating func end(_ permit: UInt64) -> ContinuousClock.Instant? {
        self.inFlight.removeValue(forKey: permit)
    }

    /// Takes a reply that speaks for the upstream.
    mutating func succeeded(
        _ permit: UInt64,
        began: ContinuousClock.Instant,
        lastGiven: UInt64,
        now: ContinuousClock.Instant
    ) {
        if self.limit < self.lowest {
            self.limit += 1
            return
        }
        if let measuring, permit <= measuring.after { return }
        self.round.append(began.duration(to: now))
        if self.round.count >= self.limit { self.endRound(lastGiven: lastGiven, now: now) }
    }

    private mutating func endRound(lastGiven: UInt64, now: ContinuousClock.Instant) {
        // The faster ones: some had to make their connection first.
        let latency = self.round.sorted()[self.round.count / 4]
        let isWanted = self.isWanted
        self.forgetRound()
        if let measuring {
            self.baseline = (latency, now)
            self.limit = measuring.limit
            self.measuring = nil
            return
        }
        guard let baseline, latency >= baseline.latency else {
            self.baseline = (latency, now)
            return self.grow(isWanted)
        }
        if baseline.at.duration(to: now) > Self.maxBaselineAge {
            self.measuring = (self.limit, lastGiven)
            self.limit = self.lowest
        } else if latency > baseline.latency * 2 + Self.tolerance {
            self.doubles = false
            self.limit = max(self.lowest, self.limit * 3 / 4)
        } else {
            self.grow(isWanted)
        }
    }

    private mutating func grow(_ isWanted: Bool) {
        guard isWanted else { return }
        self.limit = min(self.maximum, self.doubles ? self.limit * 2 : self.limit + 1)
    }

    private mutating func forgetRound() {
        self.round.removeAll(keepingCapacity: true)
        self.isWanted = false
    }

    /// Halves the limit, once for all requests that were in flight together.
    ///
    /// Eight deliveries that run into one rate limit are one piece of news, not eight: without this a single
    /// burst would always end at 1, whatever the limit was.
    mutating func halve(for permit: UInt64, lastGiven: UInt64) {
        guard permit > self.halvedUpTo else { return }
        self.halvedUpTo = lastGiven
        self.limit = max(1, self.limit / 2)
        self.doubles = false
        self.measuring = nil
        self.forgetRound()
    }

    /// Begins anew with one, as the upstream has just come back.
    mutating func restart() {
        self.limit = 1
        self.doubles = true
        self.baseline = nil
        self.measuring = nil
        self.forgetRound()
    }
}
