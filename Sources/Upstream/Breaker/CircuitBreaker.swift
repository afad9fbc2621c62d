/// Decides whether the upstream is there, for all traffic alike (design §4).
///
/// A pure state machine: time and randomness come in with each call. What counts as evidence:
///
/// - 502, 503, 504, 520–530, timeouts and broken connections count once per origin. They may be one entry's own fault (a
///   body that crashes a worker, a path that a gateway cannot route), so one origin alone never opens the breaker, and
///   several do only if they are half of all outcomes in the window.
/// - A timeout counts only if no other request succeeded while it waited: else its resource is slow, and the upstream is
///   there.
/// - Pass-through goes to URLs of its client's choosing, and is not refused for anything but connections that cannot be
///   made: its other failures do not count.
/// - A connection that cannot be made counts every time. It fails before a byte of the request is sent, so it cannot
///   be the request's fault, and a host with a single app that writes a single contact must learn of an outage as
///   quickly as any other (P6).
/// - Other 5xx count against their entry alone, and say nothing either way.
/// - Every reply below 500, 401 and 429 included, says that the upstream is there.
/// - A connection of the daemon's own that stands ends an outage that consisted of connections that could not be made,
///   and lets the next request find out about any other.
package struct CircuitBreaker: Sendable {
    /// The numbers in force.
    package private(set) var configuration: BreakerConfiguration
    /// The present position.
    package private(set) var state: BreakerState = .closed
    /// When the breaker last left `closed` or came back to it.
    package private(set) var since: ContinuousClock.Instant
    /// Failures that count, since the last reply below 500, repeated ones of one origin included.
    package private(set) var failuresSinceSuccess = 0
    /// Whether the latest attempt found somebody to connect to.
    ///
    /// The first refused connection already tells that the upstream is not there *right now*, long before five
    /// of them open the breaker: who has to decide whether waiting for a reply makes sense asks here.
    package private(set) var isReachable = true

    /// The newest permit that had been given when a request last succeeded.
    private var lastPermitAtSuccess: UInt64 = 0
    private var openings = 0
    private var epoch: UInt64 = 0
    private var lastPermit: UInt64 = 0
    private var probesFrom: ContinuousClock.Instant
    private var window: FailureWindow
    private var concurrency: ConcurrencyLimit
    private var probes: ProbeTurns

    /// Makes a closed breaker, of whose upstream nothing bad is known yet.
    package init(configuration: BreakerConfiguration, now: ContinuousClock.Instant) {
        self.configuration = configuration
        self.since = now
        self.probesFrom = now
        self.window = FailureWindow(configuration)
        self.concurrency = ConcurrencyLimit(maximum: configuration.maxConcurrentDeliveries)
        self.probes = ProbeTurns(preference: configuration.probePreference)
    }

    /// Deliveries that may be in flight at present.
    package var concurrencyLimit: Int { self.concurrency.limit }
    /// Deliveries that are in flight at present.
    package var deliveriesInFlight: Int { self.concurrency.inFlightCount }

    /// Asks for leave to send a request.
    ///
    /// Every permit must be handed back, cancelled requests included (``Signal/abandoned``).
    package mutating func mayStart(
        origin: OriginKey,
        traffic: Traffic,
        now: ContinuousClock.Instant
    ) -> Admission {
        switch self.state {
        case .closed:
            if traffic == .delivery, self.concurrency.isFull() { return .saturated }
            return .go(self.givePermit(to: origin, traffic, isProbe: false, now: now))
        case .open, .halfOpen:
            if traffic == .passThrough, self.isReachable {
                return .go(self.givePermit(to: origin, traffic, isProbe: false, now: now))
            }
            if let probe = self.probes.current, now < probe.givenUpAt {
                return .refused(retryAt: min(probe.givenUpAt, now + self.configuration.probeRetryInterval))
            }
            let turn = self.probes.turn(of: origin, from: self.probesFrom)
            guard now >= turn else { return .refused(retryAt: self.nextTry(turn: turn, now: now)) }
            self.state = .halfOpen
            let permit = self.givePermit(to: origin, traffic, isProbe: true, now: now)
            self.probes.start(permit, givenUpAt: now + self.configuration.maxProbeDuration)
            return .go(permit)
        }
    }

    /// Takes a permit back together with what the request taught, and returns the change of position it caused.
    ///
    /// Handing back a permit twice frees its place once.
    @discardableResult
    package mutating func ended(
        _ permit: Permit,
        _ signal: Signal,
        now: ContinuousClock.Instant,
        using generator: inout some RandomNumberGenerator
    ) -> BreakerTransition? {
        let before = self.state
        let began = self.concurrency.end(permit.id)
        let wasProbe = self.probes.end(permit)
        switch signal {
        case .abandoned:
            if wasProbe { self.probesFrom = now }
        case .answered(let status):
            self.isReachable = true
            switch status {
            case ..<500:
                self.succeeded(permit, began: began, isRateLimit: status == 429, now: now)
            case 502...504, 520...530:
                self.failed(permit, signal, wasDelivery: began != nil, wasProbe: wasProbe, now: now, using: &generator)
            default:
                // A probe with a 500 neither closes the breaker nor speaks against the upstream: the next
                // one has its turn after another interval of the same length.
                if wasProbe { self.open(now: now, using: &generator) }
            }
        case .unreachable, .timeout, .broken:
            self.isReachable = signal != .unreachable
            self.failed(permit, signal, wasDelivery: began != nil, wasProbe: wasProbe, now: now, using: &generator)
        }
        return before == self.state ? nil : BreakerTransition(from: before, to: self.state)
    }

    /// Takes the outcome of a connection that the daemon made to find out whether the upstream is there again.
    ///
    /// - Returns: Whether requests that were refused may be worth another try now.
    @discardableResult
    package mutating func connectionTried(_ stands: Bool, now: ContinuousClock.Instant) -> Bool {
        let wasReachable = self.isReachable
        self.isReachable = stands
        guard self.state != .closed else { return stands && !wasReachable }
        guard stands else {
            if self.probes.current == nil { self.rest(now: now) }
            return false
        }
        if wasReachable {
            // It answers with errors, or not at all: only a request finds out whether it still does.
            guard self.probes.current == nil else { return false }
            self.probesFrom = min(self.probesFrom, now)
            self.state = .open(until: self.probesFrom)
        } else {
            self.failuresSinceSuccess = 0
            self.close(now: now)
        }
        return true
    }

    /// Takes another interval between the daemon's own connections; the present pause goes on as it began.
    package mutating func setProbeInterval(_ interval: Duration) {
        self.configuration.probeInterval = interval
    }

    /// Takes another limit of concurrent deliveries (at least 1).
    package mutating func setMaxConcurrentDeliveries(_ limit: Int) {
        self.configuration.maxConcurrentDeliveries = max(1, limit)
        self.concurrency.setMaximum(self.configuration.maxConcurrentDeliveries)
    }

    /// The upstream is another one now, of which nothing bad is known; permits of the old one can still be handed back.
    package mutating func replaceUpstream(now: ContinuousClock.Instant) {
        self.close(now: now)
        self.failuresSinceSuccess = 0
        self.isReachable = true
    }

    private mutating func givePermit(
        to origin: OriginKey,
        _ traffic: Traffic,
        isProbe: Bool,
        now: ContinuousClock.Instant
    ) -> Permit {
        self.lastPermit += 1
        if traffic == .delivery { self.concurrency.start(self.lastPermit, now: now) }
        return Permit(id: self.lastPermit, epoch: self.epoch, origin: origin, traffic: traffic, isProbe: isProbe)
    }

    private mutating func succeeded(
        _ permit: Permit,
        began: ContinuousClock.Instant?,
        isRateLimit: Bool,
        now: ContinuousClock.Instant
    ) {
        self.failuresSinceSuccess = 0
        self.lastPermitAtSuccess = self.lastPermit
        self.probes.noteSuccess(of: permit.origin)
        guard self.state == .closed else {
            // Also when this is not the probe: a request from before the opening that is answered now says the same.
            self.close(now: now)
            return
        }
        self.window.recordSuccess(now: now)
        // Only deliveries move their own limit: an app whose reads run into a rate limit must not slow down
        // others' writes.
        guard let began else { return }
        if isRateLimit {
            self.concurrency.halve(for: permit.id, lastGiven: self.lastPermit)
        } else {
            self.concurrency.succeeded(permit.id, began: began, lastGiven: self.lastPermit, now: now)
        }
    }

    private mutating func failed(
        _ permit: Permit,
        _ signal: Signal,
        wasDelivery: Bool,
        wasProbe: Bool,
        now: ContinuousClock.Instant,
        using generator: inout some RandomNumberGenerator
    ) {
        self.failuresSinceSuccess += 1
        if signal != .unreachable { self.probes.noteFailure(of: permit.origin) }
        guard self.state == .closed else {
            // Stragglers from before the opening only confirm what is known.
            if wasProbe {
                self.openings += 1
                self.open(now: now, using: &generator)
            }
            return
        }
        // A request that set out before the outage ended and fails after it says nothing about the time since.
        guard permit.epoch == self.epoch else { return }
        if wasDelivery, signal == .timeout || signal == .answered(status: 503) {
            self.concurrency.halve(for: permit.id, lastGiven: self.lastPermit)
        }
        switch signal {
        case .unreachable: self.window.recordUnreachable(now: now)
        case _ where permit.traffic == .passThrough: return
        case .timeout where permit.id <= self.lastPermitAtSuccess: return
        default: self.window.recordFailure(of: permit.origin, now: now)
        }
        if self.window.saysGone {
            self.openings = 1
            self.since = now
            self.open(now: now, using: &generator)
        }
    }

    private mutating func open(
        now: ContinuousClock.Instant,
        using generator: inout some RandomNumberGenerator
    ) {
        guard self.configuration.probeInterval == nil else { return self.rest(now: now) }
        let drawn = Backoff(initial: self.configuration.initialOpenInterval, max: self.configuration.maxOpenInterval)
            .delay(attempt: self.openings, using: &generator)
        self.probesFrom = now + max(drawn, self.configuration.minOpenInterval)
        self.state = .open(until: self.probesFrom)
    }

    /// Waits for a connection of the daemon's own, and for no longer than the longest open interval.
    private mutating func rest(now: ContinuousClock.Instant) {
        self.probesFrom = now + self.configuration.maxOpenInterval
        self.state = .open(until: min(now + (self.configuration.probeInterval ?? .zero), self.probesFrom))
    }

    /// When a request that is refused now is worth another try.
    private func nextTry(turn: ContinuousClock.Instant, now: ContinuousClock.Instant) -> ContinuousClock.Instant {
        guard self.configuration.probeInterval != nil, case .open(let until) = self.state else { return turn }
        return min(turn, max(until, now + self.configuration.minOpenInterval))
    }

    private mutating func close(now: ContinuousClock.Instant) {
        self.state = .closed
        self.since = now
        self.epoch += 1
        self.openings = 0
        self.window.reset()
        self.concurrency.restart()
        self.probes.reset()
    }
}
