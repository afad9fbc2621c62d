import DequeModule
import DexatelAPI

extension LaneSchedule {
    /// Takes the outcome of an attempt and says what to make durable; the lane goes on after `recorded`.
    ///
    /// - Parameter backoffMilliseconds: The full-jitter delay for an attempt count.
    mutating func attemptEnded(
        _ contact: ContactReference,
        _ outcome: DeliveryOutcome,
        now: RelayTime,
        backoffMilliseconds: (Int64) -> Int64
    ) -> Ended? {
        guard var head = lanes[contact]?.writes.first, lanes[contact]?.phase == .inFlight else { return nil }
        inFlight.remove(head.pending.id.sequence)
        guard !isSuspended else { return nil }
        lanes[contact]?.phase = .recording
        let verdict = DeliveryVerdict.judge(outcome, circumstances(of: head, now))
        head.pending.attempts += 1
        switch verdict {
        case .retry(let retry):
            head.pending.isAmbiguous = head.pending.isAmbiguous || retry.isAmbiguous
            if retry.isForeignNotFound { head.foreignNotFoundSince = head.foreignNotFoundSince ?? now }
            let delay = delay(retry, attempts: head.pending.attempts, backoffMilliseconds)
            if retry.pausesKey {
                // Never sooner than somebody has asked already: a probe of a held key, or another 429.
                let row = head.pending.keyRow
                pausedKeys[row] = max(now + delay, pausedKeys[row] ?? now)
            }
            return attempt(head, error: retry.reason, until: now + delay, endsWithOutage: retry.endsWithOutage)
        case .delivered:
            // Only what a 401 has paused: a success that was under way already says nothing about a 429's Retry-After.
            if heldKeys.remove(head.pending.keyRow) != nil { releaseKey(head.pending.keyRow) }
            return ended(head, as: .delivered, outcome, keyVerdict: .verified)
        case .refused:
            return ended(head, as: head.waiter == nil ? .dead : .rejected, outcome, keyVerdict: nil)
        case .holdKey where head.waiter != nil:
            return ended(head, as: .rejected, outcome, keyVerdict: .refused)
        case .holdWrite where head.waiter != nil:
            return ended(head, as: .rejected, outcome, keyVerdict: nil)
        case .holdKey:
            heldKeys.insert(head.pending.keyRow)
            let until = now + limits.holdProbeMilliseconds
            pausedKeys[head.pending.keyRow] = until
            return attempt(head, error: "status 401", until: until, isHeld: true, refusesKey: true)
        case .holdWrite:
            return attempt(head, error: "status 403", until: now + limits.holdProbeMilliseconds, isHeld: true)
        }
    }

    private func circumstances(of write: Write, _ now: RelayTime) -> DeliveryVerdict.Circumstances {
        DeliveryVerdict.Circumstances(
            method: write.pending.method,
            isAcknowledgedOrRetried: write.waiter == nil || write.pending.attempts > 0,
            isNotFoundGraceOver: write.foreignNotFoundSince.map { now - $0 >= limits.notFoundGraceMilliseconds }
                ?? (limits.notFoundGraceMilliseconds == 0)
        )
    }

    private func delay(
        _ retry: DeliveryVerdict.Retry,
        attempts: Int64,
        _ backoffMilliseconds: (Int64) -> Int64
    ) -> Int64 {
        let asked = min(retry.retryAfterMilliseconds ?? 0, limits.maxRetryAfterMilliseconds)
        return max(asked, backoffMilliseconds(attempts))
    }

    /// Keeps the write in its lane, parked; its sender, and those behind it in the lane, are told 202 at the first
    /// retryable outcome (§3.2).
    private mutating func attempt(
        _ head: Write,
        error: String,
        until: RelayTime,
        endsWithOutage: Bool = false,
        isHeld: Bool = false,
        refusesKey: Bool = false
    ) -> Ended {
        let contact = head.pending.contact
        let record = AttemptRecord(
            sequence: head.pending.id.sequence,
            contact: contact,
            attempts: head.pending.attempts,
            nextAttempt: until,
            isHeld: isHeld,
            wasHeld: head.pending.isHeld,
            isAmbiguous: head.pending.isAmbiguous,
            lastError: error,
            refusedKey: refusesKey ? head.pending.keyRow : nil
        )
        var head = head
        head.pending.isHeld = isHeld
        head.pending.nextAttempt = until
        lanes[contact]?.writes[0] = head
        lanes[contact]?.outageEndsParking = endsWithOutage
        let answers = (lanes[contact]?.writes.indices ?? 0..<0).compactMap { takeWaiter(contact, $0) }
        return Ended(record: .attempt(record), answers: answers)
    }

    /// Ends the write; a sender that waits gets the reply once that is durable.
    private mutating func ended(
        _ head: Write,
        as state: WriteState,
        _ outcome: DeliveryOutcome,
        keyVerdict: EndRecord.KeyVerdict?
    ) -> Ended {
        guard case .reply(let reply) = outcome else { preconditionFailure("only a reply ends a write") }
        let contact = head.pending.contact
        lanes[contact]?.writes[0] = head
        lanes[contact]?.reply = reply
        let lastError = state == .delivered ? nil : "status \(reply.status)"
        return Ended(
            record: .end(
                end(head, as: state, response: StoredReply(reply), lastError: lastError, keyVerdict: keyVerdict)
            )
        )
    }

    func end(
        _ head: Write,
        as state: WriteState,
        response: StoredReply?,
        lastError: String?,
        keyVerdict: EndRecord.KeyVerdict?
    ) -> EndRecord {
        EndRecord(
            sequence: head.pending.id.sequence,
            contact: head.pending.contact,
            state: state,
            attempts: head.pending.attempts,
            isAmbiguous: head.pending.isAmbiguous,
            lastError: lastError,
            response: response,
            supersededBy: nil,
            keyRow: head.pending.keyRow,
            storedBytes: head.pending.storedBytes,
            wasHeld: head.pending.isHeld,
            keyVerdict: keyVerdict
        )
    }

    // MARK: - After the commit

    /// The record of an attempt is durable: the lane waits for its next one.
    mutating func attemptRecorded(_ contact: ContactReference) {
        guard lanes[contact]?.phase == .recording, let until = lanes[contact]?.writes.first?.pending.nextAttempt
        else { return }
        park(contact, until: until, endsWithOutage: lanes[contact]?.outageEndsParking ?? false)
    }

    /// The end of a write is durable: its sender hears the reply, and the lane goes on.
    mutating func endRecorded(_ contact: ContactReference, now: RelayTime) -> Answer? {
        guard lanes[contact]?.phase == .recording else { return nil }
        let reply = lanes[contact]?.reply
        lanes[contact]?.reply = nil
        guard let write = removeFirst(of: contact) else { return nil }
        if write.pending.isAmbiguous, limits.settleMilliseconds > 0 {
            // The lane may be gone with its last write; the next one is to wait all the same.
            settling.append((contact, now + limits.settleMilliseconds))
            park(contact, until: now + limits.settleMilliseconds, endsWithOutage: false)
        } else if let next = lanes[contact]?.writes.first?.pending.nextAttempt, next > now {
            park(contact, until: next, endsWithOutage: false)
        } else {
            makeReady(contact)
        }
        guard let waiter = write.waiter else { return nil }
        // Without a reply it has expired, and its sender is told what anybody who waits too long is told.
        return Answer(
            waiter: waiter,
            answer: reply.map { .replied(write.pending.id, $0) } ?? .accepted(write.pending.id)
        )
    }

    /// The upstream has taken something with a key that was held: its writes wait no longer.
    private mutating func releaseKey(_ row: Int64) {
        let pause = pausedKeys.removeValue(forKey: row)
        for (contact, lane) in lanes {
            guard let head = lane.writes.first, head.pending.keyRow == row, case .parked(let until, _) = lane.phase,
                // Held writes of a database that was opened are parked until their own probe, not until the key's.
                until == pause || head.pending.isHeld
            else { continue }
            makeReady(contact)
        }
    }
}
