import DequeModule
import DexatelAPI
import HeapModule

extension LaneSchedule {
    // MARK: - Claiming

    /// The lane whose turn it is; nil when none is ready or enough is under way.
    ///
    /// Fresh ones and backlog alternate, and within each the keys.
    mutating func nextReady(now: RelayTime) -> ContactReference? {
        guard !isSuspended, inFlight.count < (foreignReplies.isPausing ? 1 : limits.maxInFlight) else { return nil }
        if let pause = upstreamPausedUntil {
            guard pause <= now else { return nil }
            upstreamPausedUntil = nil
            // One of those that wait finds out, and not always the same.
            if foreignReplies.isPausing { upstreamRecovered() }
        }
        wakeParked(now)
        while let turn = peekReady() {
            guard isDue(turn), let head = lanes[turn.contact]?.writes.first else {
                dropPeeked(isServed: false)
                continue
            }
            if let pause = pausedKeys[head.keyRow], pause > now {
                dropPeeked(isServed: false)
                if setAside(turn.contact) { continue }
                park(turn.contact, until: pause, endsWithOutage: false)
                continue
            }
            return turn.contact
        }
        return nil
    }

    /// Claims a write of the lane that `nextReady` named: its first, or the one that covers it.
    mutating func claim(_ contact: ContactReference, now: RelayTime) -> Claim? {
        guard !isSuspended, let turn = peekReady(), turn.contact == contact, isDue(turn), let lane = lanes[contact]
        else { return nil }
        dropPeeked(isServed: true)
        backlogIsNext.toggle()
        let index = coveringIndex(lane)
        let write = lane.writes[index]
        if isTooOld(write, now) { return expire(contact, index, now).map(Claim.expired) }
        for covered in 0..<index { lanes[contact]?.writes[covered].isCovered = true }
        setPhase(.inFlight, of: contact)
        lanes[contact]?.current = write.pending.sequence
        lanes[contact]?.currentKeyRow = write.keyRow
        inFlight.insert(write.pending.sequence)
        if heldKeys[write.keyRow] != nil { heldKeys[write.keyRow]?.probeAt = now + limits.holdProbeMilliseconds }
        return .attempt(write)
    }

    private func peekReady() -> Turn? {
        if backlogIsNext { return readyBacklog.first ?? readyFresh.first }
        return readyFresh.first ?? readyBacklog.first
    }

    /// - Parameter isServed: Whether it was used, so that it is another key's turn.
    private mutating func dropPeeked(isServed: Bool) {
        let isOfBacklog = backlogIsNext ? readyBacklog.first != nil : readyFresh.first == nil
        switch (isOfBacklog, isServed) {
        case (true, true): readyBacklog.serve()
        case (true, false): readyBacklog.drop()
        case (false, true): readyFresh.serve()
        case (false, false): readyFresh.drop()
        }
    }

    private mutating func wakeParked(_ now: RelayTime) {
        while let first = settling.first, first.until <= now { dropFirstSettled() }
        while let alarm = parked.min, alarm.at <= now {
            parked.removeMin()
            guard case .parked(let until, _) = lanes[alarm.contact]?.phase, until == alarm.at else { continue }
            makeReady(alarm.contact)
        }
        if let end = firstPauseEnds, end <= now {
            pausedKeys = pausedKeys.filter { $0.value > now }
            firstPauseEnds = pausedKeys.values.min()
        }
    }

    // MARK: - Superseding (design §3.4)

    /// The write to send: the last one that covers all before it in the lane, or the first.
    ///
    /// Decided anew for each attempt, so that a write which covered others and was refused leaves them to be sent.
    func coveringIndex(_ lane: Lane) -> Int {
        guard limits.supersedes, let first = lane.writes.first else { return 0 }
        var covering = 0
        var run: FieldSet? = .empty
        for index in 1..<max(1, min(lane.writes.count, limits.maxCovered + 1)) {
            let last = lane.writes[index - 1]
            guard mayBeCovered(last) else { break }
            run = last.pending.fields.flatMap { run?.union($0) }
            let write = lane.writes[index]
            guard write.keyRow == first.keyRow else { break }
            if covers(write, run) { covering = index }
        }
        return covering
    }

    private func mayBeCovered(_ write: Write) -> Bool {
        write.pending.method == .put && !write.pending.isAmbiguous && write.waiter == nil
    }

    /// - Parameter run: What the writes before it set together; nil when nobody can say.
    private func covers(_ write: Write, _ run: FieldSet?) -> Bool {
        guard let fields = write.pending.fields else { return false }
        if write.pending.method == .delete { return true }
        guard let run else { return false }
        return limits.putSemantics == .replace || fields.isSuperset(of: run)
    }

    // MARK: - Age

    func isTooOld(_ write: Write, _ now: RelayTime) -> Bool {
        now - write.pending.acceptedClock > limits.maxAgeMilliseconds
    }

    /// Ends the first write of a lane that is not busy, or the one that covers it if the first is not too old: it may
    /// have been brought back from the dead.
    private mutating func expire(_ contact: ContactReference, _ covering: Int, _ now: RelayTime) -> EndRecord? {
        guard let lane = lanes[contact], let first = lane.writes.first else { return nil }
        let write = isTooOld(first, now) ? first : lane.writes[covering]
        setPhase(.recording, of: contact)
        lanes[contact]?.current = write.pending.sequence
        return EndRecord(
            write: write.pending,
            state: .dead,
            lastError: Self.expiredError,
            keyRow: write.keyRow
        )
    }

    /// What receipts say of a write that grew too old.
    static let expiredError = "expired: older than writes.max_age"
    /// Ends that one look for old writes brings at most.
    private static let maxExpiries = 256
    /// How often the whole window is looked through.
    private static let expirySweepMilliseconds: Int64 = 60_000

    /// The ends of writes that are too old, though nothing can be sent just now.
    mutating func expire(now: RelayTime) -> [EndRecord] {
        guard !isSuspended else { return [] }
        var ends: [EndRecord] = []
        if !expiring.isEmpty {
            let contacts = expiring
            expiring = []
            for contact in contacts { expireIfTooOld(contact, now, &ends) }
        }
        if expirySweepAt ?? now <= now {
            expirySweepAt = now + min(Self.expirySweepMilliseconds, max(limits.maxAgeMilliseconds / 4, 1))
            for contact in Array(lanes.keys) {
                guard ends.count < Self.maxExpiries else {
                    expirySweepAt = now
                    break
                }
                expireIfTooOld(contact, now, &ends)
            }
        }
        return ends
    }

    private mutating func expireIfTooOld(_ contact: ContactReference, _ now: RelayTime, _ ends: inout [EndRecord]) {
        guard let lane = lanes[contact], !lane.isBusy, !lane.writes.isEmpty else { return }
        let covering = coveringIndex(lane)
        guard isTooOld(lane.writes[covering], now), let end = expire(contact, covering, now) else { return }
        ends.append(end)
    }

    // MARK: - Time

    /// Ends the waits whose time is up: their senders get 202.
    mutating func expireWaits(now: RelayTime) -> [Answer] {
        var answers: [Answer] = []
        while let alarm = waitDeadlines.min, alarm.at <= now {
            waitDeadlines.removeMin()
            guard let lane = lanes[alarm.contact],
                let index = lane.writes.firstIndex(where: { $0.pending.sequence == alarm.sequence }),
                !isBeingAnswered(lane, index)
            else { continue }
            if let answer = takeWaiter(alarm.contact, index) { answers.append(answer) }
        }
        return answers
    }

    /// When there is something to do even if nothing happens until then.
    ///
    /// - Parameter now: What was due by then has been done, or waits for something else than time: a lane whose pause
    ///   is over while enough is under way must not hide the next wait to end.
    func nextAlarm(after now: RelayTime) -> RelayTime? {
        var times = [parked.min?.at, waitDeadlines.min?.at, upstreamPausedUntil, probeAlarms.min?.at, heldWritesDueAt]
        times.append(firstPauseEnds)
        if !lanes.isEmpty { times.append(expirySweepAt) }
        return times.compactMap { $0 }.filter { $0 > now }.min()
    }

    /// The upstream is gone: nobody need wait for what it would say (P6).
    mutating func upstreamLost() -> [Answer] { releaseWaiters { _ in true } }

    /// The upstream is back: what waited only for that waits no longer.
    mutating func upstreamRecovered() {
        for (contact, lane) in lanes {
            if case .parked(_, endsWithOutage: true) = lane.phase { makeReady(contact) }
        }
    }
}
