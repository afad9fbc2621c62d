import DequeModule
import DexatelAPI
import HeapModule
import NIOCore

extension LaneSchedule {
    // MARK: - Filling the window

    /// Takes writes that have just been committed, in order, and answers those whose sender does not wait.
    mutating func accept(_ writes: [Write], isUpstreamHealthy: Bool, now: RelayTime) -> [Answer] {
        var answers: [Answer] = []
        for var write in writes {
            let sequence = write.pending.sequence
            let fits =
                !isSuspended && !isBehindWindow && roomForOthers > 0 && sequence > cursor
            newest = max(newest, sequence)
            if let waiter = write.waiter {
                if fits, isUpstreamHealthy, waiter.deadline > now, waitingCount < limits.maxWaiting,
                    !isHeldBack(write, now)
                {
                    waitingCount += 1
                    if waitDeadlines.count > Self.staleEntries + 2 * waitingCount { dropStaleDeadlines() }
                    waitDeadlines.insert(
                        Alarm(at: waiter.deadline, contact: write.pending.contact, sequence: sequence)
                    )
                } else {
                    answers.append(Answer(waiter: waiter, answer: .accepted(write.pending.id)))
                    write.waiter = nil
                }
            }
            if fits {
                cursor = sequence
                place(write, now: now, isFresh: true)
            }
        }
        return answers
    }

    /// Room for writes that do not come back from a hold.
    private var roomForOthers: Int {
        limits.maxWindowWrites - max(limits.recallReserve, (recalling?.limit ?? 0) + returnedLate.count) - windowCount
    }

    /// Whether the window ends before the newest write: what is behind it waits in the database.
    var isBehindWindow: Bool { cursor < newest }

    /// Whether a contact has, or may have, pending writes: what is behind the window is not known.
    func mayHavePending(_ contact: ContactReference) -> Bool { isBehindWindow || lanes[contact] != nil }

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
        case .ready, .inFlight: return false
        }
    }

    /// Puts a write where its sequence belongs in its lane, or lets it leave at once when its key or contact is held.
    ///
    /// - Parameter back: The recall that has brought it back.
    /// - Returns: Whether it is in its lane.
    @discardableResult
    mutating func place(
        _ write: Write,
        now: RelayTime,
        isFresh: Bool = false,
        back: Recall? = nil
    ) -> Bool {
        var write = write
        if let hold = holdReason(write, now, back: back) {
            leave(write, hold)
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
        windowCount += 1
        let contact = write.pending.contact
        guard lanes[contact] != nil else {
            lanes[contact, default: Lane()].writes.append(write)
            if isFresh, settling.isEmpty, write.pending.nextAttempt == nil {
                makeReady(contact)
            } else {
                goOn(contact, now: now, isBacklog: !isFresh)
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

    /// Rows to read for the window.
    struct RefillRequest: Sendable, Equatable {
        /// Read the pending writes behind this sequence that are not held.
        var after: Int64
        /// Read so many at most.
        var limit: Int
        /// The newest sequence that was committed when the request was made.
        var newest: Int64
    }

    /// What to read from the database; nil while there is no need or no room.
    var refillRequest: RefillRequest? {
        let room = roomForOthers
        guard isBehindWindow, !isSuspended, refilling == nil, room > 0, windowCount <= limits.maxWindowWrites / 2 else {
            return nil
        }
        return RefillRequest(after: cursor, limit: room, newest: newest)
    }

    /// The same, and what was begun is ended by `refill` or `refillFailed`.
    mutating func beginRefill() -> RefillRequest? {
        guard let request = refillRequest else { return nil }
        refilling = request
        return request
    }

    mutating func refillFailed() { endRefill() }

    private mutating func endRefill() {
        refilling = nil
        returnedLate = []
        if !isWithdrawing { withdrawn = [] }
    }

    /// Takes what was read for a request.
    ///
    /// - Parameter upTo: Up to where there is nothing else to read; nil for the end.
    mutating func refill(_ writes: [Write], upTo: Int64?, for request: RefillRequest, now: RelayTime) {
        guard refilling == request else { return }
        defer { endRefill() }
        guard !isSuspended, request.after == cursor else { return }
        let late = returnedLate.sorted { $0.write.pending.sequence < $1.write.pending.sequence }
        let read = late.isEmpty ? [] : Set(writes.map(\.pending.sequence))
        for write in writes {
            cursor = write.pending.sequence
            guard !withdrawn.contains(cursor) else { continue }
            if write.pending.replay == .underRule {
                // It was let go before, and a later write may have been delivered since: it is judged again.
                leave(write, .queued)
                queuedWritesAdded()
            } else {
                place(write, now: now)
            }
        }
        // At the end nothing that was committed before the request is behind the window any more.
        cursor = max(cursor, upTo ?? request.newest)
        newest = max(newest, cursor)
        // Those behind the window will be read; those that were read have been placed.
        for (write, recall) in late where write.pending.sequence <= cursor && !read.contains(write.pending.sequence) {
            if !withdrawn.contains(write.pending.sequence) { place(write, now: now, back: recall) }
        }
    }

    // MARK: - Emptying it

    /// Takes a write out of the window, and its lane with it when it was the last.
    @discardableResult
    mutating func remove(at index: Int, of contact: ContactReference) -> Write? {
        guard let write = lanes[contact]?.writes.remove(at: index) else { return nil }
        windowCount -= 1
        payloadBytes -= write.payload?.body.readableBytes ?? 0
        if write.waiter != nil { waitingCount -= 1 }
        if heldKeys[write.keyRow]?.probe == write.pending.sequence { probeEnded(write.keyRow) }
        if lanes[contact]?.writes.isEmpty ?? false { lanes[contact] = nil }
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
