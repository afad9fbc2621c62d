import DequeModule
import DexatelAPI
import HeapModule
import NIOCore

extension LaneSchedule {
    // MARK: - Filling the window

    /// Takes writes that have just been committed, in order, and answers those whose sender does not wait.
    ///
    /// One that there is no room for stays in the database, and so does one that something older of its contact, which is
    /// there too, comes before.
    mutating func accept(_ writes: [Write], isUpstreamHealthy: Bool, now: RelayTime) -> [Answer] {
        var answers: [Answer] = []
        for var write in writes {
            let (sequence, contact) = (write.pending.sequence, write.pending.contact)
            let isTaken = takes(write, now)
            if let waiter = write.waiter {
                if isTaken, isUpstreamHealthy, waiter.deadline > now, waitingCount < limits.maxWaiting,
                    !isHeldBack(write, now)
                {
                    waitingCount += 1
                    if waitDeadlines.count > Self.staleEntries + 2 * waitingCount { dropStaleDeadlines() }
                    waitDeadlines.insert(Alarm(at: waiter.deadline, contact: contact, sequence: sequence))
                } else {
                    answers.append(Answer(waiter: waiter, answer: .accepted(write.pending.id)))
                    write.waiter = nil
                }
            }
            if isTaken { place(write, as: .fresh, now: now) } else { missed(contact) }
            // What its lane will read, the backlog need not.
            if cursor == newest, isTaken || lanes[contact]?.isCut ?? false { cursor = max(cursor, sequence) }
            newest = max(newest, sequence)
        }
        return answers
    }

    private mutating func takes(_ write: Write, _ now: RelayTime) -> Bool {
        let contact = write.pending.contact
        guard !isSuspended, write.pending.sequence > cursor else { return false }
        if holdReason(write, now) != nil { return true }
        guard !(lanes[contact]?.isCut ?? false), isNext(write) else { return false }
        if fits(write, in: .fresh) { return true }
        if lanes[contact] != nil { cut(contact) }
        return false
    }

    private func isHeldBack(_ write: Write, _ now: RelayTime) -> Bool {
        if let pause = upstreamPausedUntil, pause > now { return true }
        if let pause = pausedKeys[write.keyRow], pause > now { return true }
        if holdReason(write, now) != nil { return true }
        guard let lane = lanes[write.pending.contact] else { return false }
        switch lane.phase {
        case .parked(let until, _): return until > now
        // The pause is decided, and only its record is not durable yet.
        case .recording:
            guard lane.reply == nil, let index = lane.currentIndex else { return false }
            let current = lane.writes[index].pending
            return !current.hold.isHeld && (current.nextAttempt.map { $0 > now } ?? false)
        case .empty, .ready, .inFlight: return false
        }
    }

    /// Puts a write where its sequence belongs in its lane, or lets it leave at once when its key or contact is held.
    ///
    /// - Parameter back: The recall that has brought it back.
    /// - Returns: Whether it is in its lane.
    @discardableResult
    mutating func place(
        _ write: Write,
        as part: WindowPart,
        now: RelayTime,
        back: Recall? = nil
    ) -> Bool {
        var write = write
        write.part = part
        if let hold = holdReason(write, now, back: back) {
            leave(write, hold, isStray: part != .backlog && !hasPlace(write))
            return false
        }
        if heldKeys[write.keyRow] != nil { heldKeys[write.keyRow]?.probe = write.pending.sequence }
        if let payload = write.payload {
            let bytes = payload.body.readableBytes
            if payloadBytes + bytes > limits.maxWindowPayloadBytes {
                write.payload = nil
            } else {
                payloadBytes += bytes
            }
        }
        count(write, 1)
        let contact = write.pending.contact
        guard let lane = lanes[contact], !lane.writes.isEmpty else {
            lanes[contact, default: Lane()].writes.append(write)
            if part == .fresh, settling.isEmpty, write.pending.nextAttempt == nil {
                makeReady(contact)
            } else {
                goOn(contact, now: now, isBacklog: part != .fresh)
            }
            return true
        }
        let sequence = write.pending.sequence
        if let last = lanes[contact]?.writes.last, last.pending.sequence > sequence,
            let index = lanes[contact]?.writes.firstIndex(where: { $0.pending.sequence > sequence })
        {
            lanes[contact]?.writes.insert(write, at: index)
        } else {
            lanes[contact]?.writes.append(write)
        }
        return true
    }

    // MARK: - Emptying it

    /// Takes a write out of the window, and its lane with it when it was the last and the database has no more of it.
    @discardableResult
    mutating func remove(at index: Int, of contact: ContactReference, now: RelayTime) -> Write? {
        guard let write = lanes[contact]?.writes.remove(at: index) else { return nil }
        // Whatever becomes of it; the lane may be gone with its last write, and the next one is to wait all the same.
        if write.pending.isAmbiguous { settle(contact, now) }
        count(write, -1)
        if refilling != nil { gone.insert(write.pending.sequence) }
        payloadBytes -= write.payload?.body.readableBytes ?? 0
        if write.waiter != nil { waitingCount -= 1 }
        if heldKeys[write.keyRow]?.probe == write.pending.sequence { probeEnded(write.keyRow) }
        if lanes[contact]?.writes.isEmpty ?? false {
            setPhase(.empty, of: contact)
            if !(lanes[contact]?.isCut ?? false) { lanes[contact] = nil }
        }
        return write
    }

    // MARK: - Suspension

    /// Stops claiming, and answers everybody who waits: their writes are durable, and what becomes of them will be
    /// found out after the database has been reopened.
    mutating func suspend() -> [Answer] {
        isSuspended = true
        leaving = []
        var answers: [Answer] = []
        for contact in Array(lanes.keys) {
            guard let lane = lanes[contact], let reply = lane.reply else { continue }
            lanes[contact]?.reply = nil
            // Whether a refusal is durable is unknown, and so is what to say: a 202 for a write that turns out to be
            // rejected would be a loss after the acknowledgement (P1, P2).
            guard !(200..<300).contains(reply.status), let index = lane.currentIndex,
                var answer = takeWaiter(contact, index)
            else { continue }
            answer.answer = .unavailable(.storageFailed)
            answers.append(answer)
        }
        return answers + releaseWaiters()
    }

    /// Answers everybody who waits, but for those whose reply is there and is just being made durable.
    mutating func releaseWaiters() -> [Answer] {
        var answers: [Answer] = []
        for contact in Array(lanes.keys) {
            guard let lane = lanes[contact] else { continue }
            for index in lane.writes.indices where !isBeingAnswered(lane, index) {
                if let answer = takeWaiter(contact, index) { answers.append(answer) }
            }
        }
        return answers
    }

    /// Answers those who would wait in vain (P6), as their lanes go on with a write that will not be sent for a while.
    ///
    /// What is under way may still be answered.
    mutating func releaseWaiters(behind isStuck: (Write) -> Bool) -> [Answer] {
        guard waitingCount > 0 else { return [] }
        var answers: [Answer] = []
        for contact in Array(lanes.keys) {
            guard let lane = lanes[contact] else { continue }
            var isBehind = false
            for (index, write) in lane.writes.enumerated() {
                isBehind = isBehind || isStuck(write)
                guard isBehind, !(lane.isBusy && write.pending.sequence == lane.current) else { continue }
                if let answer = takeWaiter(contact, index) { answers.append(answer) }
            }
        }
        return answers
    }

    /// Whether the upstream has answered this write, so that its sender gets that reply as soon as it is durable.
    func isBeingAnswered(_ lane: Lane, _ index: Int) -> Bool {
        lane.reply != nil && lane.writes[index].pending.sequence == lane.current
    }

    /// Takes the waiter of a write, if it has one, to be told 202.
    mutating func takeWaiter(_ contact: ContactReference, _ index: Int) -> Answer? {
        guard let write = lanes[contact]?.writes[index], let waiter = write.waiter else { return nil }
        lanes[contact]?.writes[index].waiter = nil
        waitingCount -= 1
        return Answer(waiter: waiter, answer: .accepted(write.pending.id))
    }

    private mutating func dropStaleDeadlines() {
        waitDeadlines = Heap(
            waitDeadlines.unordered.filter { alarm in
                lanes[alarm.contact]?.writes.contains {
                    $0.pending.sequence == alarm.sequence && $0.waiter != nil
                } ?? false
            }
        )
    }
}
