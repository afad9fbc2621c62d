import DexatelAPI

@testable import Outbox

/// Drives a `LaneSchedule` by hand, as the engine and the commit thread would.
final class LaneHarness {
    var schedule: LaneSchedule
    var now: RelayTime = 1_000_000
    let sink = CollectingSink()
    /// The pending writes, as the database has them.
    private(set) var rows: [Int64: LaneSchedule.Write] = [:]
    private var nextSequence: Int64 = 1

    init(_ change: (inout LaneSchedule.Limits) -> Void = { _ in }) {
        var limits = LaneSchedule.Limits()
        change(&limits)
        schedule = LaneSchedule(limits: limits)
    }

    func write(
        _ sequence: Int64,
        _ contact: Int,
        key: Int = 1,
        method: WriteMethod = .put,
        wait: Int64? = nil,
        attempts: Int64 = 0,
        nextAttempt: RelayTime? = nil,
        hold: WriteHold = .none,
        replay: WriteReplay = .inOrder,
        fields: [String]? = nil,
        accepted: RelayTime? = nil
    ) -> LaneSchedule.Write {
        LaneSchedule.Write(
            pending: PendingWrite(
                id: WriteID(sequence: sequence, nonce: sequence),
                contact: Sample.contact(contact),
                keyRow: Int64(key),
                method: method,
                storedBytes: 2,
                acceptedClock: accepted ?? now,
                attempts: attempts,
                nextAttempt: nextAttempt,
                hold: hold,
                replay: replay,
                fields: method == .delete ? .empty : fields.flatMap { FieldSet(names: $0) }
            ),
            key: Sample.key(key),
            payload: Sample.payload("{}"),
            waiter: wait.map { LaneSchedule.Waiter(sink: sink, token: UInt64(sequence), deadline: now + $0) }
        )
    }

    /// Accepts the next write; returns its sequence.
    @discardableResult
    func accept(
        _ contact: Int,
        key: Int = 1,
        method: WriteMethod = .put,
        wait: Int64? = nil,
        fields: [String]? = nil,
        healthy: Bool = true
    ) -> Int64 {
        let sequence = nextSequence
        nextSequence += 1
        var write = write(sequence, contact, key: key, method: method, wait: wait, fields: fields)
        if schedule.needsPredecessor(write.pending.contact) {
            write.predecessor = predecessor(of: write)
        }
        rows[sequence] = write
        answer(schedule.accept([write], isUpstreamHealthy: healthy, now: now))
        return sequence
    }

    private func predecessor(of write: LaneSchedule.Write) -> LaneSchedule.Predecessor {
        let (sequence, contact) = (write.pending.sequence, write.pending.contact)
        let older = rows.filter {
            $0.key < sequence && $0.value.pending.contact == contact && $0.value.pending.hold == .none
        }
        return older.keys.max().map { .write($0) } ?? .first
    }

    /// Writes that are in the database and that nobody in memory knows of yet.
    func append(_ writes: [(contact: Int, key: Int)]) {
        for (contact, key) in writes {
            rows[nextSequence] = write(nextSequence, contact, key: key)
            nextSequence += 1
        }
        schedule.appended(newest: nextSequence - 1)
    }

    /// Reads from the database until there is no need or no room; how many reads that took.
    @discardableResult
    func read() -> Int {
        var reads = 0
        while let request = schedule.beginRefill() {
            reads += 1
            precondition(reads < 10_000, "reading never ends")
            schedule.refill(PendingTable(rows.values).read(request), for: request, now: now)
        }
        return reads
    }

    func answer(_ answers: [LaneSchedule.Answer]) {
        for answer in answers { answer.waiter.sink.take([(answer.waiter.token, answer.answer)]) }
    }

    /// Claims whatever is next; the sequence of the write to send.
    func claim() -> LaneSchedule.Claim? {
        guard let contact = schedule.nextReady(now: now) else { return nil }
        return schedule.claim(contact, now: now)
    }

    func claimSequence() -> Int64? {
        guard case .attempt(let write) = claim() else { return nil }
        return write.pending.id.sequence
    }

    /// Ends the attempt of a contact, without its record being durable yet.
    func end(_ contact: Int, _ outcome: DeliveryOutcome, backoff: Int64 = 1_000) -> LaneSchedule.Ended? {
        let ended = schedule.attemptEnded(
            Sample.contact(contact),
            outcome,
            now: now,
            backoffMilliseconds: { _ in backoff }
        )
        if let ended { answer(ended.answers) }
        return ended
    }

    /// The record of a contact is durable.
    func recorded(_ record: LaneSchedule.Ended.Record) {
        switch record {
        case .attempt(let attempt):
            rows[attempt.sequence]?.pending = attempt.after
            schedule.attemptRecorded(attempt.contact, now: now)
        case .end(let end):
            for write in [end.write] + end.covered { rows[write.sequence] = nil }
            if let answer = schedule.endRecorded(end.contact, now: now) { self.answer([answer]) }
        }
    }

    /// Ends the attempt of a contact and makes its record durable.
    @discardableResult
    func finish(
        _ contact: Int,
        _ outcome: DeliveryOutcome,
        backoff: Int64 = 1_000
    ) -> LaneSchedule.Ended.Record? {
        guard let ended = end(contact, outcome, backoff: backoff) else { return nil }
        recorded(ended.record)
        return ended.record
    }

    /// Brings back what a recall asks for, as the commit thread would when all of it may be sent.
    func recall(_ writes: [LaneSchedule.Write], isExhausted: Bool = true) -> LaneSchedule.Recall? {
        guard let request = schedule.nextRecall(now: now) else { return nil }
        for write in writes { rows[write.pending.sequence] = write }
        let writes = writes.map { write in
            var write = write
            write.predecessor = predecessor(of: write)
            return write
        }
        schedule.recalled(.init(request: request, writes: writes, isExhausted: isExhausted), now: now)
        return request.recall
    }

    /// Takes a write out of the window, as an operator who ends it would.
    func withdraw(_ sequence: Int64, _ contact: Int) -> Bool {
        let (isWithdrawn, answer) = schedule.withdraw(sequence, of: Sample.contact(contact), now: now)
        self.answer([answer].compactMap { $0 })
        return isWithdrawn
    }

    /// Ends a write, as an operator would; false when it is under way.
    func discard(_ sequence: Int64, _ contact: Int) -> Bool {
        guard withdraw(sequence, contact) else { return false }
        rows[sequence] = nil
        schedule.withdrawalsDone()
        return true
    }

    /// What has left its lane since the last time: sequences and why.
    func leaving() -> [Int64: WriteHold] {
        let holds = schedule.takeLeaving()
        for hold in holds { rows[hold.write.sequence]?.pending.hold = hold.hold }
        schedule.holdsRecorded(holds)
        return Dictionary(uniqueKeysWithValues: holds.map { ($0.write.sequence, $0.hold) })
    }

    func expireWaits() { answer(schedule.expireWaits(now: now)) }

    /// What the sender of a write was told: statuses.
    func told(_ sequence: Int64) -> [Int] { sink.answers(to: UInt64(sequence)).map(\.status) }
}

extension LaneSchedule.Ended.Record {
    var endState: WriteState? {
        guard case .end(let end) = self else { return nil }
        return end.state
    }

    var attempt: AttemptRecord? {
        guard case .attempt(let attempt) = self else { return nil }
        return attempt
    }
}
