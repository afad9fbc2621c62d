import DexatelAPI
import Logging
import Synchronization

/// Sends the writes whose turn the commit thread has found to have come, and knows who waits for their replies.
///
/// What is sent, and what an outcome means, is decided on the commit thread (`CommitLoop`); here is what both sides share.
final class DeliveryEngine: DeliveryReceiver {
    /// What the engine works with.
    struct Parts: Sendable {
        var limits: LaneLimits
        var transport: any DeliveryTransport
        var commits: CommitThread
        var keys: KeyRegistry
        var clock: RelayClock
        /// The full-jitter delay in milliseconds for an attempt count (`writes.retry.initial`, `writes.retry.max`).
        var backoffMilliseconds: @Sendable (Int64) -> Int64
        var logger: Logger
    }

    struct State: Sendable {
        var limits: LaneLimits
        var flights = Flights()
        /// When each attempt under way began.
        var starts: [Int64: Start] = [:]
        var waiters = Waiters()
        var reader: any OutboxReading
        var changeObserver: (any OutboxChangeObserver)?
        /// The breaker lets nothing through before this.
        var gateOpensAt: RelayTime?
        /// The upstream wants to be left alone before this.
        var pausedUntil: RelayTime?
        /// One write at a time finds out whether the API is back.
        var probesAlone = false
        /// The disk is full, and no outcome could be recorded.
        var isHeld = false
        /// An operator has paused deliveries.
        var pause = DeliveryPause.none
        var isStopping = false
        /// The database has failed, and has not been opened again.
        var isSuspended = false
        /// How often it was opened: what is known of claims from before counts no longer.
        var opening = 0
        /// When time alone will wake `run`.
        var alarmAt: RelayTime?

        var maxUnderWay: Int { probesAlone ? 1 : limits.maxInFlight }
        /// While so many outcomes are being made durable, nothing more is sent: what a full disk, or a crash, leaves unknown
        /// is bounded.
        var maxUnrecorded: Int { probesAlone ? 1 : 2 * maxUnderWay }

        /// When there is something to do even if nothing happens until then.
        func nextAlarm(after now: RelayTime) -> RelayTime? {
            [waiters.nextDeadline, gateOpensAt, pausedUntil].compactMap { $0 }.filter { $0 > now }.min()
        }

        /// Whether the alarm goes off after a moment; one that is past has been heard, or is about to be.
        func isAlarmLate(_ moment: RelayTime, _ now: RelayTime) -> Bool {
            alarmAt.map { $0 <= now || $0 > moment } ?? true
        }

        /// The lane whose attempt may begin.
        func next(_ now: RelayTime) -> ContactReference? {
            guard !isStopping, !isHeld, pause == .none, !isSuspended, flights.underWayCount < maxUnderWay,
                flights.underWayCount + flights.recordingCount < maxUnrecorded,
                gateOpensAt ?? now <= now, pausedUntil ?? now <= now
            else { return nil }
            return flights.next
        }
    }

    struct Start: Sendable {
        var wallMilliseconds: Int64
        var clock: RelayTime
    }

    let parts: Parts
    let state: Mutex<State>
    private let turnCount = Atomic<UInt64>(0)
    private let wakeups: AsyncStream<Void>
    private let waker: AsyncStream<Void>.Continuation
    /// How long after the breaker was found busy with somebody else's attempt it is asked again.
    private static let saturatedMilliseconds: Int64 = 100

    init(_ parts: Parts, opened: OpenedOutbox) {
        self.parts = parts
        var state = State(limits: parts.limits, reader: opened.reader)
        state.pause = opened.pause
        self.state = Mutex(state)
        (wakeups, waker) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1))
    }

    // MARK: - Looking

    /// The bounds and delays in force.
    var limits: LaneLimits { state.withLock { $0.limits } }

    /// The database, for reading.
    var reader: any OutboxReading { state.withLock { $0.reader } }

    /// Writes that are under way.
    var inFlightCount: Int { state.withLock { $0.flights.underWayCount } }

    /// Writes that are under way, and those of them whose keys are held.
    var inFlightCounts: (all: Int, ofHeldKeys: Int) {
        let claims = state.withLock { $0.flights.claimsUnderWay }
        return (claims.count, claims.count { $0.key.isHeld })
    }

    /// Senders that wait for the upstream's reply.
    var waitingCount: Int { state.withLock { $0.waiters.count } }

    /// Whether a write is under way just now.
    func isInFlight(_ sequence: Int64) -> Bool { state.withLock { $0.flights.isUnderWay(sequence) } }

    /// How often the engine has looked for something to do.
    var turns: UInt64 { turnCount.load(ordering: .relaxed) }

    /// Since when the oldest attempt has been under way.
    var oldestAttemptBegan: ContinuousClock.Instant? { state.withLock { $0.flights.oldestAttemptBegan } }

    /// Hears what reads have to show.
    var changeObserver: (any OutboxChangeObserver)? { state.withLock { $0.changeObserver } }

    /// Has everything that reads have to show told from now on.
    func setChangeObserver(_ observer: any OutboxChangeObserver) {
        state.withLock { $0.changeObserver = observer }
    }

    /// Takes other limits; what is under way or waits for a time goes on as it began.
    func reload(_ limits: LaneLimits) {
        state.withLock { $0.limits = limits }
        parts.commits.wake()
        wake()
    }

    /// Looks for something to do.
    func wake() { waker.yield() }

    // MARK: - Running

    /// Delivers until `stop`, and then until the attempts under way have ended.
    func run() async {
        var alarm: Task<Void, Never>?
        wake()
        for await _ in wakeups {
            turnCount.add(1, ordering: .relaxed)
            let roundBegan = parts.clock.now()
            endWaits(roundBegan)
            sendReady()
            if isFinished { break }
            let now = parts.clock.now()
            let next = state.withLock { state -> RelayTime? in
                guard let next = state.nextAlarm(after: roundBegan), next <= now || state.isAlarmLate(next, now) else {
                    return nil
                }
                state.alarmAt = next
                return next
            }
            guard let next else { continue }
            alarm?.cancel()
            // It may have fallen due during the round, after the round had looked.
            guard next > now else {
                wake()
                continue
            }
            alarm = Task { [waker] in
                try? await Task.sleep(for: .milliseconds(next - now))
                waker.yield()
            }
        }
        alarm?.cancel()
    }

    /// Wakes `run` if a wait ends before its alarm goes off: most batches of writes need no turn of it.
    func wakeIfDue() {
        let now = parts.clock.now()
        let isDue = state.withLock { state in
            guard !state.isStopping else { return true }
            if let deadline = state.waiters.nextDeadline, deadline <= now { return true }
            return state.nextAlarm(after: now).map { state.isAlarmLate($0, now) } ?? false
        }
        if isDue { wake() }
    }

    /// Ends `run`: nothing new is sent, and senders who wait get their 202.
    func stop() {
        let waiters = state.withLock { state in
            state.isStopping = true
            return state.waiters.take { _ in true }
        }
        send(waiters.map(\.accepted))
        wake()
    }

    private var isFinished: Bool { state.withLock { $0.isStopping && $0.flights.underWayCount == 0 } }

    /// Ends the waits whose time is up: their senders get 202.
    func endWaits(_ now: RelayTime) {
        send(state.withLock { $0.waiters.expire(now) }.map(\.accepted))
    }

    /// Begins the attempts that there is a place for; on any thread.
    func sendReady() {
        var deliveries: [Delivery] = []
        while let delivery = nextDelivery() { deliveries.append(delivery) }
        if !deliveries.isEmpty { parts.transport.begin(deliveries, for: self) }
    }

    private func nextDelivery() -> Delivery? {
        while true {
            let now = parts.clock.now()
            guard let contact = state.withLock({ $0.next(now) }) else { return nil }
            let permit: DeliveryPermit
            switch parts.transport.admit(contact) {
            case .go(let granted): permit = granted
            case .saturated:
                // The attempt that is under way may be somebody else's, whose end nobody tells.
                let isAlone = state.withLock { state in
                    guard state.flights.underWayCount == 0 else { return false }
                    state.gateOpensAt = now + Self.saturatedMilliseconds
                    return true
                }
                if isAlone { wake() }
                return nil
            case .wait(let milliseconds):
                state.withLock { $0.gateOpensAt = now + max(milliseconds, 1) }
                wake()
                return nil
            }
            if let delivery = start(contact, permit, now) { return delivery }
            // Another thread was first.
            parts.transport.release(permit)
        }
    }

    private func start(_ contact: ContactReference, _ permit: DeliveryPermit, _ now: RelayTime) -> Delivery? {
        state.withLock { state in
            guard state.next(now) == contact, let claim = state.flights.start(contact, at: .now) else { return nil }
            state.starts[claim.sequence] = Start(wallMilliseconds: parts.clock.wallNow(), clock: now)
            return Delivery(
                sequence: claim.sequence,
                permit: permit,
                contact: claim.contact,
                method: claim.write.method,
                payload: claim.payload,
                apiKey: claim.key.secret,
                key: claim.key.fingerprint
            )
        }
    }

    /// Attempts have ended; what that means is decided on the commit thread.
    func ended(_ deliveries: [DeliveryEnd]) {
        // Before the end of a write is durable: in between, a read would find neither it nor what it has made.
        tellDelivered(deliveries)
        let now = parts.clock.now()
        let unheard = state.withLock { state in
            var unheard: [Waiter] = []
            var outcomes: [(outcome: AttemptOutcome, waiter: Waiter?)] = []
            for delivery in deliveries {
                let waiter = state.waiters.take(delivery.sequence)
                guard let start = state.starts.removeValue(forKey: delivery.sequence),
                    let claim = state.flights.ended(delivery.sequence)
                else { continue }
                let isKnown = claim.opening == state.opening && !state.isSuspended
                if !isKnown {
                    // What became of the write is found out from the database, once that is back.
                    state.flights.recorded(claim.contact)
                    if let waiter { unheard.append(waiter) }
                }
                let timing = AttemptOutcome.Timing(
                    startedAtWallMilliseconds: start.wallMilliseconds,
                    durationMilliseconds: now - start.clock
                )
                let outcome = AttemptOutcome(claim: claim, outcome: delivery.outcome, timing: timing)
                outcomes.append((outcome, isKnown ? waiter : nil))
            }
            // Under the lock, so that an outcome is in the inbox before a failed commit drops what is there.
            parts.commits.record(outcomes)
            return unheard
        }
        send(unheard.map(\.accepted))
        sendReady()
        wakeIfFinished()
    }

    func wakeIfFinished() {
        if isFinished { wake() }
    }

    /// Tells reads what the upstream has taken; one reply too many does no harm, as it is what the upstream says.
    private func tellDelivered(_ deliveries: [DeliveryEnd]) {
        guard let observer = changeObserver else { return }
        for delivery in deliveries {
            guard case .reply(let reply) = delivery.outcome,
                let claim = state.withLock({ $0.flights.claim(underWay: delivery.sequence) }),
                reply.isConfirmation || claim.write.method == .delete && reply.saysContactIsGone
            else { continue }
            observer.delivered(
                DeliveredWrite(
                    contact: claim.contact,
                    key: claim.key.fingerprint,
                    sequence: claim.sequence,
                    method: claim.write.method,
                    body: claim.payload.body,
                    reply: reply.body,
                    isConfirmed: reply.isConfirmation
                )
            )
        }
    }

    /// Answers senders that have waited.
    func send(_ answers: [SenderAnswer]) {
        guard !answers.isEmpty else { return }
        var batches = AnswerBatches()
        batches.add(answers)
        batches.send()
    }

    // MARK: - The upstream

    /// The breaker has opened: senders who wait are told 202, but for those whose writes are under way (P6).
    func upstreamLost() { releaseWaiters { _ in true } }

    /// The breaker has closed: what waited only for the upstream waits no longer.
    func upstreamRecovered() {
        state.withLock { $0.gateOpensAt = nil }
        parts.commits.upstreamRecovered()
        wake()
    }

    /// What the commit thread has decided about the upstream as a whole.
    func setUpstream(pausedUntil: RelayTime?, probesAlone: Bool) {
        state.withLock { ($0.pausedUntil, $0.probesAlone) = (pausedUntil, probesAlone) }
    }
}
