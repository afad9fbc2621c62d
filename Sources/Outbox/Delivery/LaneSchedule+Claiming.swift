import DequeModule
import DexatelAPI
import HeapModule

extension LaneSchedule {
    // MARK: - Claiming

    /// The lane whose turn it is; nil when none is ready or enough is under way.
    ///
    /// Fresh ones and backlog alternate.
    mutating func nextReady(now: RelayTime) -> ContactReference? {
        guard !isSuspended, inFlight.count < limits.maxInFlight else { return nil }
        wakeParked(now)
        while let contact = peekReady() {
            guard let head = lanes[contact]?.writes.first, lanes[contact]?.phase == .ready else {
                dropPeeked()
                continue
            }
            if let pause = pausedKeys[head.pending.keyRow], pause > now {
                dropPeeked()
                park(contact, until: pause, endsWithOutage: false)
                continue
            }
            return contact
        }
        return nil
    }

    /// Claims the first write of the lane that `nextReady` named.
    mutating func claim(_ contact: ContactReference, now: RelayTime) -> Claim? {
        guard !isSuspended, peekReady() == contact, let head = lanes[contact]?.writes.first else { return nil }
        dropPeeked()
        backlogIsNext.toggle()
        if now - head.pending.acceptedClock > limits.maxAgeMilliseconds {
            lanes[contact]?.phase = .recording
            return .expired(
                end(head, as: .dead, response: nil, lastError: "expired: older than writes.max_age", keyVerdict: nil)
            )
        }
        lanes[contact]?.phase = .inFlight
        inFlight.insert(head.pending.id.sequence)
        if heldKeys.contains(head.pending.keyRow) {
            // This one probes; the others of the key wait for what becomes of it.
            pausedKeys[head.pending.keyRow] = now + limits.holdProbeMilliseconds
        }
        return .attempt(head)
    }

    private func peekReady() -> ContactReference? {
        if backlogIsNext { return readyBacklog.first ?? readyFresh.first }
        return readyFresh.first ?? readyBacklog.first
    }

    private mutating func dropPeeked() {
        if backlogIsNext {
            _ = readyBacklog.popFirst() ?? readyFresh.popFirst()
        } else {
            _ = readyFresh.popFirst() ?? readyBacklog.popFirst()
        }
    }

    private mutating func wakeParked(_ now: RelayTime) {
        while let first = settling.first, first.until <= now { settling.removeFirst() }
        while let alarm = parked.min, alarm.at <= now {
            parked.removeMin()
            guard case .parked(let until, _) = lanes[alarm.contact]?.phase, until == alarm.at else { continue }
            makeReady(alarm.contact)
        }
    }

    // MARK: - Time

    /// Ends the waits whose time is up: their senders get 202.
    mutating func expireWaits(now: RelayTime) -> [Answer] {
        var answers: [Answer] = []
        while let alarm = waitDeadlines.min, alarm.at <= now {
            waitDeadlines.removeMin()
            guard let lane = lanes[alarm.contact],
                let index = lane.writes.firstIndex(where: { $0.pending.id.sequence == alarm.sequence }),
                // The upstream has answered: the sender gets its reply as soon as that is durable.
                !(index == lane.writes.startIndex && lane.reply != nil)
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
        [parked.min?.at, waitDeadlines.min?.at].compactMap { $0 }.filter { $0 > now }.min()
    }

    /// The upstream is back: what waited only for that waits no longer.
    mutating func upstreamRecovered() {
        for (contact, lane) in lanes {
            if case .parked(_, endsWithOutage: true) = lane.phase { makeReady(contact) }
        }
    }
}
