import DexatelAPI
import Logging
import Synchronization

/// Sends what the lane schedule decides, has the outcomes committed, and answers the senders who wait.
final class DeliveryEngine: CommitObserver {
    /// What the engine works with.
    struct Parts: Sendable {
        var limits: LaneSchedule.Limits
        var transport: any DeliveryTransport
        var commits: CommitThread
        var keys: KeyRegistry
        var clock: RelayClock
        /// The full-jitter delay in milliseconds for an attempt count (`writes.retry.initial`, `writes.retry.max`).
        var backoffMilliseconds: @Sendable (Int64) -> Int64
        var logger: Logger
    }

    struct State: Sendable {
        var schedule: LaneSchedule
        var reader: any OutboxReading
        /// Set while the engine waits for attempts under way to end before it loads memory again.
        var pendingRestart: OpenedOutbox?
        var isStopping = false
        var changeObserver: (any OutboxChangeObserver)?
        /// The attempts that are under way, by the sequences of their writes.
        var attempts: [Int64: Attempt] = [:]
        /// Writes that were claimed, and whose payloads have to be read first.
        var unread: [Int64] = []
        /// A thread is claiming.
        var isClaiming = false
        /// Something may have become ready since it began to.
        var claimsAgain = false
        /// When time alone will wake `run`.
        var alarmAt: RelayTime?
        /// The breaker lets nothing through before this.
        var gateOpensAt: RelayTime?
        /// The disk is full: no outcome could be recorded.
        var isHeld = false
    }

    let parts: Parts
    let state: Mutex<State>
    private let turnCount = Atomic<UInt64>(0)
    private let wakeups: AsyncStream<Void>
    private let waker: AsyncStream<Void>.Continuation

    init(_ parts: Parts, opened: OpenedOutbox) {
        self.parts = parts
        var schedule = LaneSchedule(limits: parts.limits)
        schedule.rebase(newest: opened.nextSequence - 1)
        schedule.restart(Self.holds(opened, parts.keys), now: parts.clock.now())
        state = Mutex(State(schedule: schedule, reader: opened.reader))
        (wakeups, waker) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1))
    }

    /// What an outbox that was opened says of holds; a key that was replaced counts as its successor.
    private static func holds(_ opened: OpenedOutbox, _ keys: KeyRegistry) -> LaneSchedule.Holds {
        var holds = LaneSchedule.Holds()
        for key in opened.keys where key.successor == nil && key.isRefused {
            // It may have been replaced since. Without a write there is nothing to hold, and nothing to probe with.
            guard keys.effectiveRow(key.row) == key.row, let known = keys.key(row: key.row) else { continue }
            if known.pendingCount > 0 { holds.refusedKeys.insert(key.row) }
        }
        holds.releasingKeys = Set(opened.keysWithHeldWrites.map(keys.effectiveRow)).subtracting(holds.refusedKeys)
        holds.stoppedContacts = opened.stoppedContacts
        holds.releasingContacts = opened.releasingContacts
        return holds
    }

    /// The database, for reading.
    var reader: any OutboxReading { state.withLock { $0.reader } }

    /// Writes that are under way.
    var inFlightCount: Int { state.withLock { $0.schedule.inFlight.count } }

    /// Senders that wait for the upstream's reply.
    var waitingCount: Int { state.withLock { $0.schedule.waitingCount } }

    /// Whether a write is under way just now.
    func isInFlight(_ sequence: Int64) -> Bool { state.withLock { $0.schedule.inFlight.contains(sequence) } }

    /// Whether a contact has, or may have, pending writes.
    func mayHavePending(_ contact: ContactReference) -> Bool {
        state.withLock { $0.schedule.mayHavePending(contact) }
    }

    /// Has everything that reads have to show told from now on.
    func setChangeObserver(_ observer: any OutboxChangeObserver) {
        state.withLock { $0.changeObserver = observer }
    }

    var changeObserver: (any OutboxChangeObserver)? { state.withLock { $0.changeObserver } }

    /// How often the engine has looked for something to do.
    var turns: UInt64 { turnCount.load(ordering: .relaxed) }

    /// Takes other limits; what is under way or waits for a time goes on as it began.
    func reload(_ limits: LaneSchedule.Limits) {
        state.withLock { $0.schedule.limits = limits }
        wake()
    }

    /// Since when the oldest attempt has been under way.
    var oldestAttemptBegan: ContinuousClock.Instant? { state.withLock { $0.attempts.values.lazy.map(\.began).min() } }

    /// Looks for something to do.
    func wake() { waker.yield() }

    /// The breaker has opened: senders who wait are told 202.
    func upstreamLost() {
        changeSchedule { $0.upstreamLost() }
        wake()
    }

    /// The breaker has closed: what waited only for the upstream waits no longer.
    func upstreamRecovered() {
        state.withLock { state in
            state.schedule.upstreamRecovered()
            state.gateOpensAt = nil
        }
        wake()
    }

    // MARK: - Running

    /// Delivers until `stop`, and then until the attempts under way have ended.
    func run() async {
        var alarm: Task<Void, Never>?
        // What the database held at the start is work, too.
        wake()
        for await _ in wakeups {
            turnCount.add(1, ordering: .relaxed)
            let roundBegan = parts.clock.now()
            endWaits(roundBegan)
            expire(roundBegan)
            recall(roundBegan)
            await refill()
            sendReady()
            await sendUnread()
            if isFinished { break }
            if mayReadMore { wake() }
            setAlarm(&alarm, roundBegan)
        }
        alarm?.cancel()
    }

    /// Ends `run`: nothing new is sent, and senders who wait get their 202.
    func stop() {
        let answers = state.withLock { state in
            state.isStopping = true
            return state.schedule.releaseWaiters()
        }
        send(answers)
        wake()
    }

    private var isFinished: Bool {
        state.withLock { $0.isStopping && $0.schedule.inFlight.isEmpty }
    }

    /// Claiming has found that what is ready is of a key that is paused: there may be others.
    private var mayReadMore: Bool {
        let now = parts.clock.now()
        return state.withLock { Self.mayReadMore($0, now) }
    }

    private static func mayReadMore(_ state: State, _ now: RelayTime) -> Bool {
        // After a read that failed, the gate is closed for a while.
        !state.isStopping && state.gateOpensAt ?? now <= now && state.schedule.refillRequest != nil
    }

    /// Wakes `run` if there is something for it to do, or its alarm is set too late.
    func wakeIfNeeded() {
        let now = parts.clock.now()
        let isNeeded = state.withLock { state in
            if state.isStopping || !state.unread.isEmpty || state.schedule.hasRecall(now: now) { return true }
            if Self.mayReadMore(state, now) { return true }
            guard let next = Self.nextAlarm(state, now) else { return false }
            // One that is past has been heard, or is about to be.
            guard let alarmAt = state.alarmAt, alarmAt > now else { return true }
            return next < alarmAt
        }
        if isNeeded { wake() }
    }

    private func endWaits(_ now: RelayTime) {
        send(state.withLock { $0.schedule.expireWaits(now: now) })
    }

    /// Ends what is too old in the window, though the upstream may be away.
    private func expire(_ now: RelayTime) {
        state.withLock { state in
            guard !state.isStopping else { return }
            record(state.schedule.expire(now: now).map { .end($0) }, &state)
        }
    }

    /// Changes the schedule, has what leaves its lanes recorded, and answers.
    func changeSchedule(_ change: (inout LaneSchedule) -> [LaneSchedule.Answer]) {
        let answers = state.withLock { state in
            let answers = change(&state.schedule)
            recordLeaving(&state)
            return answers
        }
        send(answers)
    }

    /// Under the lock, so that nothing that follows from it is recorded before it.
    func recordLeaving(_ state: inout State) { record([], &state) }

    /// Has outcomes recorded, and what has left its lane; under the lock, so that a record is in the inbox before a failed
    /// commit suspends the schedule, and is dropped there with the rest: it must not be committed after memory has been
    /// loaded again.
    func record(_ records: [LaneSchedule.Ended.Record], _ state: inout State) {
        let leaving = state.schedule.takeLeaving()
        guard !records.isEmpty || !leaving.isEmpty else { return }
        parts.commits.record(records, leaving)
    }

    /// A write as the schedule has it, with the key that it is sent with.
    func scheduled(_ pending: PendingWrite) throws -> LaneSchedule.Write {
        guard let key = parts.keys.key(row: pending.keyRow) else {
            throw OutboxError(.damaged, "the key \(pending.keyRow) of a pending write is not in the outbox")
        }
        return LaneSchedule.Write(
            pending: pending,
            key: key,
            keyRow: key.current.row,
            payload: nil,
            waiter: nil
        )
    }

    // MARK: - Turns

    private static func nextAlarm(_ state: State, _ now: RelayTime) -> RelayTime? {
        let times = [state.schedule.nextAlarm(after: now), state.gateOpensAt.flatMap { $0 > now ? $0 : nil }]
        return times.compactMap { $0 }.min()
    }

    /// Sets the next wake-up that time alone brings.
    private func setAlarm(_ alarm: inout Task<Void, Never>?, _ roundBegan: RelayTime) {
        let now = parts.clock.now()
        let (next, isSet) = state.withLock { state -> (RelayTime?, Bool) in
            guard let next = Self.nextAlarm(state, roundBegan) else { return (nil, true) }
            if let alarmAt = state.alarmAt, alarmAt <= next, alarmAt > now { return (next, true) }
            state.alarmAt = next
            return (next, false)
        }
        guard let next, !isSet else { return }
        alarm?.cancel()
        // It may have fallen due during the round, perhaps after the round had looked.
        guard next > now else { return wake() }
        alarm = Task { [waker] in
            try? await Task.sleep(for: .milliseconds(next - now))
            waker.yield()
        }
    }

    private func refill() async {
        let (request, reader) = state.withLock { ($0.schedule.beginRefill(), $0.reader) }
        guard let request else { return }
        do {
            let refilled = try await read(request, reader)
            let now = parts.clock.now()
            let wantsMore = state.withLock { state in
                state.schedule.refill(refilled, for: request, now: now)
                recordLeaving(&state)
                return state.schedule.refillRequest != nil
            }
            if wantsMore { wake() }
        } catch {
            parts.logger.error("pending writes cannot be read", metadata: ["error": "\(error)"])
            parts.commits.reportDamage(error)
            let retryAt = parts.clock.now() + Self.readRetryMilliseconds
            state.withLock { state in
                state.schedule.refillFailed()
                state.gateOpensAt = retryAt
            }
        }
    }

    private func read(
        _ request: LaneSchedule.RefillRequest,
        _ reader: any OutboxReading
    ) async throws -> LaneSchedule.Refilled {
        switch request.source {
        case .backlog(let after):
            let rows = PendingRows(
                after: after,
                needsOrder: request.needsOrder,
                limit: request.limit,
                maxPayloadBytes: request.maxPayloadBytes
            )
            return try refilled(await reader.pendingWrites(rows))
        case .key(let row, let after, _):
            let rows = PendingRows(
                after: after,
                keyRows: parts.keys.rows(of: row),
                needsOrder: request.needsOrder,
                limit: request.limit,
                maxPayloadBytes: request.maxPayloadBytes
            )
            return try refilled(await reader.pendingWrites(rows))
        case .lanes(let places):
            var refilled = LaneSchedule.Refilled(writes: [])
            for place in places {
                let limit = min(place.limit, request.limit - refilled.writes.count)
                guard limit > 0 else { break }
                let writes = try await reader.pendingWrites(of: place.contact, after: place.after, limit: limit)
                refilled.writes += try writes.map(scheduled)
                if writes.count < limit { refilled.exhausted.insert(place.contact) }
            }
            return refilled
        }
    }

    private func refilled(_ part: PendingPart) throws -> LaneSchedule.Refilled {
        let writes = try part.writes.map { pending in
            var write = try scheduled(pending)
            write.payload = part.payloads[pending.sequence]
            if let order = part.order[pending.sequence] {
                (write.predecessor, write.hasSuccessor) = (order.predecessor, order.hasSuccessor)
            }
            return write
        }
        return LaneSchedule.Refilled(writes: writes, upTo: part.upTo)
    }

    /// How long after a failed read of the outbox the next one follows.
    private static let readRetryMilliseconds: Int64 = 1_000

    func send(_ answers: [LaneSchedule.Answer]) {
        guard !answers.isEmpty else { return }
        var batches = AnswerBatches()
        batches.add(answers)
        batches.send()
    }

    // MARK: - The commit thread's news

    func committed(_ batch: CommittedBatch) {
        let isHealthy = parts.transport.isHealthy
        let now = parts.clock.now()
        let writes = batch.accepted.map { accepted in
            var write = scheduled(accepted, now)
            write.predecessor = batch.predecessors[accepted.pending.sequence] ?? .unknown
            return write
        }
        let (answers, isGateClosed) = state.withLock { state in
            var answers: [LaneSchedule.Answer] = []
            for end in batch.ends {
                if let answer = state.schedule.endRecorded(end.contact, now: now) { answers.append(answer) }
            }
            if !batch.holds.isEmpty { state.schedule.holdsRecorded(batch.holds) }
            for attempt in batch.attempts { state.schedule.attemptRecorded(attempt.contact, now: now) }
            answers += state.schedule.accept(writes, isUpstreamHealthy: isHealthy && !state.isStopping, now: now)
            recordLeaving(&state)
            return (answers, state.gateOpensAt.map { $0 > now } ?? false)
        }
        if let observer = changeObserver {
            for end in batch.ends { observer.ended(end.contact, by: parts.keys.key(row: end.keyRow)?.fingerprint) }
            for write in writes { observer.accepted(write.pending.contact, by: write.key.fingerprint) }
        }
        send(answers)
        // The breaker may have opened since it was asked, and told everybody else.
        if isHealthy, !parts.transport.isHealthy { upstreamLost() }
        // While the breaker is open nothing can be claimed, and the alarm for its end is set; a turn for every batch would
        // only cost the writers time (P6).
        if !isGateClosed || !batch.ends.isEmpty || !batch.attempts.isEmpty { sendReady() }
        let hasEndedWithoutReply = batch.ends.contains { $0.response == nil }
        if hasEndedWithoutReply || !batch.attempts.isEmpty || !batch.holds.isEmpty { wake() } else { wakeIfNeeded() }
    }

    private func scheduled(
        _ accepted: (write: NewWrite, pending: PendingWrite),
        _ now: RelayTime
    ) -> LaneSchedule.Write {
        let write = accepted.write
        // The key may have been replaced while the write was on its way.
        let key = write.key.current.isReplaced ? parts.keys.key(row: accepted.pending.keyRow) ?? write.key : write.key
        return LaneSchedule.Write(
            pending: accepted.pending,
            key: key,
            keyRow: key.current.row,
            payload: write.payload,
            waiter: LaneSchedule.Waiter(
                sink: write.sink,
                token: write.token,
                deadline: now + write.replyWaitMilliseconds
            )
        )
    }

    func needsPredecessor(_ contacts: [ContactReference]) -> [Bool] {
        state.withLock { state in contacts.map(state.schedule.needsPredecessor) }
    }

    func endedOutOfLane(_ ends: [EndRecord]) {
        // Nothing of them is in memory, and nobody waits; but reads have shown them.
        if let observer = changeObserver {
            for end in ends { observer.ended(end.contact, by: parts.keys.key(row: end.keyRow)?.fingerprint) }
        }
        wake()
    }

    func holdDeliveries(_ areHeld: Bool) {
        // Whoever waits for the upstream would wait for the disk.
        let answers = state.withLock { state in
            state.isHeld = areHeld
            return areHeld ? state.schedule.releaseWaiters() : []
        }
        send(answers)
        wake()
    }

    func storageFailed() {
        send(state.withLock { $0.schedule.suspend() })
        // The attempts that `run` waits for when it is to stop may just have ended, and their records be lost.
        wake()
    }

    func reopened(_ outbox: OpenedOutbox) {
        state.withLock { state in
            state.reader = outbox.reader
            state.schedule.rebase(newest: outbox.nextSequence - 1)
            state.pendingRestart = outbox
        }
        wakeAfterAttempt()
    }

    /// Loads memory again once nothing is under way any more: a lane must not have two attempts at once (P3).
    func wakeAfterAttempt() {
        state.withLock { state in
            guard let opened = state.pendingRestart, state.schedule.inFlight.isEmpty else { return }
            state.pendingRestart = nil
            state.schedule.restart(Self.holds(opened, parts.keys), now: parts.clock.now())
        }
        wake()
    }
}
