/// Decides whether the upstream is there, for all traffic alike (design §4).
///
/// A pure state machine: time and randomness come in with each call. What counts as evidence:
///
/// - 502, 503, 504, timeouts and broken connections count once per origin. They may be one entry's own fault (a body
///   that crashes a worker, a path that a gateway cannot route), so one origin alone never opens the breaker.
/// - A connection that cannot be made counts every time. It fails before a byte of the request is sent, so it cannot
///   be the request's fault, and a host with a single app that writes a single contact must learn of an outage as
///   quickly as any other (P6).
/// - Other 5xx count against their entry alone, and say nothing either way.
/// - Every reply below 500, 401 and 429 included, says that the upstream is there.
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

    /// Whether the latest attempt got any reply at all, a 503 included.
    private var isAnswering = true
    private var openings = 0
    private var epoch: UInt64 = 0
    private var lastPermit: UInt64 = 0
    private var probesFrom: ContinuousClock.Instant
    private var window: FailureWindow
    private var slowStart: SlowStart
    private var probes: ProbeTurns

    /// Makes a closed breaker without slow start: nothing bad is known yet.
    package init(configuration: BreakerConfiguration, now: ContinuousClock.Instant) {
        self.configuration = configuration
        self.since = now
        self.probesFrom = now
        self.window = FailureWindow(
            maxOutcomes: configuration.windowOutcomes,
            maxRun: configuration.consecutiveFailures
        )
        self.slowStart = SlowStart(maximum: configuration.maxConcurrentDeliveries)
        self.probes = ProbeTurns(preference: configuration.probePreference)
    }

    /// Deliveries that may be in flight at present.
    package var concurrencyLimit: Int { self.slowStart.limit }
    /// Deliveries that are in flight at present.
    package var deliveriesInFlight: Int { self.slowStart.inFlightCount }

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
            if traffic == .delivery, self.slowStart.isFull { return .saturated }
            return .go(self.givePermit(to: origin, traffic, isProbe: false))
        case .open, .halfOpen:
            if traffic == .passThrough, self.isAnswering {
                return .go(self.givePermit(to: origin, traffic, isProbe: false))
            }
            if let probe = self.probes.current, now < probe.givenUpAt {
                return .refused(retryAt: min(probe.givenUpAt, now + self.configuration.probeRetryInterval))
            }
            let turn = self.probes.turn(of: origin, from: self.probesFrom)
            guard now >= turn else { return .refused(retryAt: turn) }
            self.state = .halfOpen
            let permit = self.givePermit(to: origin, traffic, isProbe: true)
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
        let wasDelivery = self.slowStart.end(permit.id)
        let wasProbe = self.probes.end(permit)
        switch signal {
        case .abandoned:
            if wasProbe { self.probesFrom = now }
        case .answered(let status):
            self.isReachable = true
            self.isAnswering = true
            switch status {
            case ..<500:
                self.succeeded(permit, wasDelivery: wasDelivery, isRateLimit: status == 429, now: now)
            case 502...504:
                self.failed(permit, signal, wasDelivery: wasDelivery, wasProbe: wasProbe, now: now, using: &generator)
            default:
                // A probe with a 500 neither closes the breaker nor speaks against the upstream: the next
                // one has its turn after another interval of the same length.
                if wasProbe { self.open(now: now, using: &generator) }
            }
        case .unreachable, .timeout, .broken:
            self.isReachable = signal != .unreachable
            self.isAnswering = false
            self.failed(permit, signal, wasDelivery: wasDelivery, wasProbe: wasProbe, now: now, using: &generator)
        }
        return before == self.state ? nil : BreakerTransition(from: before, to: self.state)
    }

    /// Takes another limit of concurrent deliveries (at least 1).
    package mutating func setMaxConcurrentDeliveries(_ limit: Int) {
        self.configuration.maxConcurrentDeliveries = max(1, limit)
        self.slowStart.setMaximum(self.configuration.maxConcurrentDeliveries)
    }

    /// The upstream is another one now, of which nothing bad is known; permits of the old one can still be handed back.
    package mutating func replaceUpstream(now: ContinuousClock.Instant) {
        self.close(now: now)
        self.failuresSinceSuccess = 0
        self.isReachable = true
        self.isAnswering = true
    }

    private mutating func givePermit(to origin: OriginKey, _ traffic: Traffic, isProbe: Bool) -> Permit {
        self.lastPermit += 1
        if traffic == .delivery { self.slowStart.start(self.lastPermit) }
        return Permit(id: self.lastPermit, epoch: self.epoch, origin: origin, traffic: traffic, isProbe: isProbe)
    }

    private mutating func succeeded(
        _ permit: Permit,
        wasDelivery: Bool,
        isRateLimit: Bool,
        now: ContinuousClock.Instant
    ) {
        self.failuresSinceSuccess = 0
        self.probes.noteSuccess(of: permit.origin)
        guard self.state == .closed else {
            // Also when this is not the probe: a request from before the opening that is answered now says the same.
            self.close(now: now)
            return
        }
        self.window.recordSuccess()
        // Only deliveries move their own limit: an app whose reads run into a rate limit must not slow down
        // others' writes.
        guard wasDelivery else { return }
        if isRateLimit {
            self.slowStart.halve(for: permit.id, lastGiven: self.lastPermit)
        } else {
            self.slowStart.grow()
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
        if wasDelivery, signal == .timeout {
            self.slowStart.halve(for: permit.id, lastGiven: self.lastPermit)
        }
        if signal == .unreachable {
            self.window.recordUnreachable()
        } else {
            self.window.recordFailure(of: permit.origin)
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
        let drawn = Backoff(initial: self.configuration.initialOpenInterval, max: self.configuration.maxOpenInterval)
            .delay(attempt: self.openings, using: &generator)
        self.probesFrom = now + max(drawn, self.configuration.minOpenInterval)
        self.state = .open(until: self.probesFrom)
    }

    private mutating func close(now: ContinuousClock.Instant) {
        self.state = .closed
        self.since = now
        self.epoch += 1
        self.openings = 0
        self.window.reset()
        self.slowStart.restart()
        self.probes.reset()
    }
}
