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

    private struct State: Sendable {
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
        var isPaused = false
        var isStopping = false
        /// The database has failed, and has not been opened again.
        var isSuspended = false
        /// How often it was opened: what is known of claims from before counts no longer.
        var opening = 0

        var maxUnderWay: Int { probesAlone ? 1 : limits.maxInFlight }
        /// While so many outcomes are being made durable, nothing more is sent: what a full disk, or a crash, leaves unknown
        /// is bounded.
        var maxUnrecorded: Int { probesAlone ? 1 : 2 * maxUnderWay }

        /// The lane whose attempt may begin.
        func next(_ now: RelayTime) -> ContactReference? {
            guard !isStopping, !isHeld, !isPaused, !isSuspended, flights.underWayCount < maxUnderWay,
                flights.underWayCount + flights.recordingCount < maxUnrecorded,
                gateOpensAt ?? now <= now, pausedUntil ?? now <= now
            else { return nil }
            return flights.next
        }
    }

    private struct Start: Sendable {
        var wallMilliseconds: Int64
        var clock: RelayTime
    }

    let parts: Parts
    private let state: Mutex<State>
    private let turnCount = Atomic<UInt64>(0)
    private let wakeups: AsyncStream<Void>
    private let waker: AsyncStream<Void>.Continuation
    /// How long after the breaker was found busy with somebody else's attempt it is asked again.
    private static let saturatedMilliseconds: Int64 = 100

    init(_ parts: Parts, opened: OpenedOutbox) {
        self.parts = parts
        var state = State(limits: parts.limits, reader: opened.reader)
        state.isPaused = opened.isPaused
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
        var alarm: (at: RelayTime, task: Task<Void, Never>)?
        wake()
        for await _ in wakeups {
            turnCount.add(1, ordering: .relaxed)
            let roundBegan = parts.clock.now()
            endWaits(roundBegan)
            sendReady()
            if isFinished { break }
            guard let next = nextAlarm(after: roundBegan) else { continue }
            let now = parts.clock.now()
            if next <= now {
                wake()
            } else if alarm.map({ $0.at > next || $0.at <= now }) ?? true {
                alarm?.task.cancel()
                alarm = (
                    next,
                    Task { [waker] in
                        try? await Task.sleep(for: .milliseconds(next - now))
                        waker.yield()
                    }
                )
            }
        }
        alarm?.task.cancel()
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

    /// When there is something to do even if nothing happens until then.
    private func nextAlarm(after now: RelayTime) -> RelayTime? {
        state.withLock { state in
            [state.waiters.nextDeadline, state.gateOpensAt, state.pausedUntil].compactMap { $0 }.filter { $0 > now }
                .min()
        }
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

    private func wakeIfFinished() {
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

    // MARK: - What the commit thread asks and says

    /// How much may be claimed ahead.
    struct Room: Sendable {
        var claims: Int
        var bytes: Int
        var opening: Int
        /// Lanes that have a claim already.
        var busy: Set<ContactReference>
    }

    /// Room for further claims; nil while there are enough, or nothing is to be sent.
    ///
    /// - Parameter isUrgent: Whether to fill it up though there are enough for a while.
    func room(isUrgent: Bool = false) -> Room? {
        state.withLock { state in
            let limits = state.limits
            guard !state.isStopping, !state.isSuspended, !state.isHeld, !state.isPaused else { return nil }
            guard
                isUrgent
                    ? state.flights.claimedCount < limits.maxClaimed : state.flights.claimedCount < limits.minClaimed,
                state.flights.claimedBytes < limits.maxClaimedBytes
            else { return nil }
            return Room(
                claims: limits.maxClaimed - state.flights.claimedCount,
                bytes: limits.maxClaimedBytes - state.flights.claimedBytes,
                opening: state.opening,
                busy: Set(state.flights.contacts)
            )
        }
    }

    /// Which opening of the database outcomes have to come from.
    var opening: Int { state.withLock { $0.opening } }

    /// Whether a lane has a claim.
    func isClaimed(_ contact: ContactReference) -> Bool { state.withLock { $0.flights.contains(contact) } }

    /// Whether a sender waits for a write.
    func isWaitedFor(_ sequence: Int64) -> Bool { state.withLock { $0.waiters.contains(sequence) } }

    /// Whether a write is covered by one that is under way.
    func isCovered(_ write: PendingWrite) -> Bool {
        state.withLock { $0.flights.isBusy(write.sequence, of: write.contact) }
    }

    /// Senders that wait for writes with a key.
    func waitingCount(ofKey keyRow: Int64) -> Int { state.withLock { $0.waiters.count(ofKey: keyRow) } }

    /// Takes claims.
    func add(_ claims: [Claim]) {
        guard !claims.isEmpty else { return }
        state.withLock { state in
            for claim in claims where claim.opening == state.opening { state.flights.add(claim) }
        }
        sendReady()
    }

    /// Takes writes that have just been committed.
    ///
    /// - Returns: The answers for senders that do not wait, and which of the claims there was no room for.
    func accept(_ accepted: [AcceptedWrite], isUpstreamHealthy: Bool) -> (answers: [SenderAnswer], left: [Claim]) {
        state.withLock { state in
            var (answers, left): ([SenderAnswer], [Claim]) = ([], [])
            let now = parts.clock.now()
            for write in accepted {
                let waiter = write.waiter
                if write.mayWait, isUpstreamHealthy, waiter.deadline > now, !state.isStopping, !state.isHeld,
                    !state.isPaused, !state.isSuspended, state.waiters.count < state.limits.maxWaiting
                {
                    state.waiters.add(waiter)
                } else {
                    answers.append(waiter.accepted)
                }
                guard var claim = write.claim else { continue }
                guard left.isEmpty, state.flights.claimedCount < state.limits.maxClaimed,
                    state.flights.claimedBytes < state.limits.maxClaimedBytes, !state.isStopping, !state.isSuspended
                else {
                    left.append(claim)
                    continue
                }
                claim.opening = state.opening
                state.flights.add(claim)
            }
            return (answers, left)
        }
    }

    /// Outcomes are durable, or will never be: their lanes are free.
    func recorded(_ contacts: [ContactReference]) {
        guard !contacts.isEmpty else { return }
        state.withLock { state in
            for contact in contacts { state.flights.recorded(contact) }
        }
        wakeIfFinished()
    }

    /// Takes claims back whose attempts have not begun.
    @discardableResult
    func withdraw(where isMeant: (Claim) -> Bool) -> [Claim] { state.withLock { $0.flights.withdraw(where: isMeant) } }

    /// Takes back what is claimed of a write's lane; false when the write is under way, or its outcome is being recorded.
    func withdraw(_ write: PendingWrite) -> Bool {
        state.withLock { state in
            guard !state.flights.isBusy(write.sequence, of: write.contact) else { return false }
            _ = state.flights.withdraw { $0.contact == write.contact }
            return true
        }
    }

    /// Answers senders that need not wait any longer: 202.
    ///
    /// Those whose writes are under way may still hear the reply.
    func releaseWaiters(where isMeant: (Waiter) -> Bool) {
        let waiters = state.withLock { state in
            guard state.waiters.count > 0 else { return [Waiter]() }
            let flights = state.flights
            return state.waiters.take { !flights.isUnderWay($0.id.sequence) && isMeant($0) }
        }
        send(waiters.map(\.accepted))
    }

    /// Nothing is to be sent, as its outcome could not be recorded; or all may go on.
    func holdDeliveries(_ areHeld: Bool) {
        // Whoever waits for the upstream would wait for the disk.
        let waiters = state.withLock { state in
            state.isHeld = areHeld
            return areHeld ? state.waiters.take { _ in true } : []
        }
        send(waiters.map(\.accepted))
        wake()
    }

    /// Whether an operator has paused deliveries.
    var isPaused: Bool { state.withLock { $0.isPaused } }

    /// An operator pauses deliveries, or has them go on.
    func setPaused(_ isPaused: Bool) {
        state.withLock { $0.isPaused = isPaused }
        if isPaused { releaseWaiters { _ in true } }
        parts.commits.wake()
        wake()
    }

    /// Nothing waits for a time any more.
    func flush() { state.withLock { ($0.gateOpensAt, $0.pausedUntil) = (nil, nil) } }

    /// Until when the upstream wants to be left alone, in milliseconds from now; nil when it does not.
    var upstreamPauseMilliseconds: Int64? {
        let now = parts.clock.now()
        return state.withLock { $0.pausedUntil }.flatMap { $0 > now ? $0 - now : nil }
    }

    /// A commit has failed: nothing is sent until `reopened`.
    func storageFailed() {
        let waiters = state.withLock { state in
            state.isSuspended = true
            state.opening += 1
            state.flights.suspend()
            return state.waiters.take { _ in true }
        }
        send(waiters.map(\.accepted))
        wake()
    }

    /// The database has been opened again, and verified.
    func reopened(_ outbox: OpenedOutbox) {
        state.withLock { state in
            state.reader = outbox.reader
            state.isSuspended = false
        }
        wake()
    }
}

/// A write that has just been committed, and how it goes on.
struct AcceptedWrite: Sendable {
    var waiter: Waiter
    /// Whether its lane is not held up, so that its sender may wait for the upstream's reply.
    var mayWait: Bool
    /// It goes the straight way: its lane was empty, and nothing else is ready.
    var claim: Claim?
}
