import DequeModule
import DexatelAPI

extension LaneSchedule {
    /// When an attempt began, and how long it took, for the receipt.
    struct Timing: Sendable {
        var startedAtWallMilliseconds: Int64 = 0
        var durationMilliseconds: Int64 = 0
    }

    /// Takes the outcome of an attempt and says what to make durable; the lane goes on after `…Recorded`.
    ///
    /// - Parameter backoffMilliseconds: The full-jitter delay for an attempt count.
    mutating func attemptEnded(
        _ contact: ContactReference,
        _ outcome: DeliveryOutcome,
        _ timing: Timing = Timing(),
        now: RelayTime,
        backoffMilliseconds: (Int64) -> Int64
    ) -> Ended? {
        guard let lane = lanes[contact], lane.phase == .inFlight, let index = lane.currentIndex else { return nil }
        var write = lane.writes[index]
        inFlight.remove(write.pending.sequence)
        guard !isSuspended else { return nil }
        setPhase(.recording, of: contact)
        lanes[contact]?.isDelivered = false
        let before = write.pending
        var verdict = DeliveryVerdict.judge(outcome, circumstances(of: write, now))
        let isOfOldKey = lane.currentKeyRow != write.keyRow
        if isOfOldKey, let again = verdict.withoutKey { verdict = .retry(again) }
        switch verdict {
        case .retry(let retry) where retry.isForeignNotFound || retry.isForeign:
            write.pending.notFoundSince = write.pending.notFoundSince ?? now
        default: write.pending.notFoundSince = nil
        }
        let unconfirmedCount = countUnconfirmed(&write, outcome)
        write.pending.attempts += 1
        write.pending.log.append(Self.entry(outcome, timing))
        let change = Change(contact: contact, index: index, before: before, write: write)
        noteOwn(outcome)
        if (verdict.retry?.pausesKey ?? false) == false, !isOfOldKey { pausesInARow[write.keyRow] = nil }
        switch verdict {
        case .retry(let retry):
            let answers = noteForeign(change, outcome, retry, now)
            if unconfirmedCount >= limits.maxUnconfirmed {
                var ended = holdUnconfirmed(change, retry, now)
                ended.answers += answers
                return ended
            }
            var ended = tryAgain(change, retry, now: now, backoffMilliseconds)
            ended.answers += answers
            return ended
        case .delivered:
            // Only what a 401 has held: a success that was under way already says nothing about a 429's Retry-After.
            if !isOfOldKey { release(key: write.keyRow) }
            if before.log.forbiddenInARow > 0 { allowForbiddenRetries(now) }
            pauseSuspect = nil
            return ended(change, as: .delivered, outcome, keyVerdict: isOfOldKey ? nil : .verified)
        case .refused:
            return ended(change, as: write.waiter == nil ? .dead : .rejected, outcome, keyVerdict: nil)
        case .holdKey where write.waiter != nil:
            return ended(change, as: .rejected, outcome, keyVerdict: .refused)
        case .holdWrite where write.waiter != nil:
            return ended(change, as: .rejected, outcome, keyVerdict: nil)
        case .holdKey:
            var ended = held(change, .key, error: "status 401", until: now + limits.holdProbeMilliseconds)
            ended.record = ended.record.refusing(key: write.keyRow)
            ended.answers += hold(key: write.keyRow, now: now)
            return ended
        case .holdWrite:
            // The more often it was refused, the longer it rests.
            let times: Int64 = 1 << (write.pending.log.forbiddenInARow - 1)
            let until = now + limits.holdProbeMilliseconds * times
            heldWritesDueAt = min(heldWritesDueAt ?? until, until)
            return held(change, .write, error: "status 403", until: until)
        }
    }

    // MARK: - Replies that are not the API's

    /// How often in a row the write has met the same 2xx that does not confirm it; what finds out whether a pause is over
    /// does not count.
    private func countUnconfirmed(_ write: inout Write, _ outcome: DeliveryOutcome) -> Int {
        guard case .reply(let reply) = outcome, (200..<300).contains(reply.status), reply.isForeign else {
            write.unconfirmed = (0, 0)
            return 0
        }
        guard !foreignReplies.isPausing else { return write.unconfirmed.count }
        write.unconfirmed = (reply.status, write.unconfirmed.status == reply.status ? write.unconfirmed.count + 1 : 1)
        return write.unconfirmed.count
    }

    private mutating func noteForeign(
        _ change: Change,
        _ outcome: DeliveryOutcome,
        _ retry: DeliveryVerdict.Retry,
        _ now: RelayTime
    ) -> [Answer] {
        guard retry.isForeign else { return [] }
        guard foreignReplies.note(change.contact, reason: retry.reason) else { return [] }
        upstreamPausedUntil = max(now + limits.foreignPauseMilliseconds, upstreamPausedUntil ?? now)
        return releaseWaiters { _ in true }
    }

    /// A reply of the API's own ends a pause that others' replies have brought about.
    private mutating func noteOwn(_ outcome: DeliveryOutcome) {
        guard case .reply(let reply) = outcome, !reply.isForeign, reply.status < 500, reply.status != 404,
            foreignReplies.end()
        else { return }
        upstreamPausedUntil = nil
        upstreamRecovered()
    }

    /// Sending it on and on would apply it on and on, perhaps.
    private mutating func holdUnconfirmed(
        _ change: Change,
        _ retry: DeliveryVerdict.Retry,
        _ now: RelayTime
    ) -> Ended {
        var change = change
        change.write.pending.isAmbiguous = true
        return held(change, .unexpected, error: "\(retry.reason), \(limits.maxUnconfirmed) times in a row", until: now)
    }

    /// The write whose attempt has ended, as it was and as it is.
    private struct Change {
        var contact: ContactReference
        var index: Int
        var before: PendingWrite
        var write: Write
    }

    private func circumstances(of write: Write, _ now: RelayTime) -> DeliveryVerdict.Circumstances {
        DeliveryVerdict.Circumstances(
            method: write.pending.method,
            isAcknowledgedOrRetried: write.waiter == nil || write.pending.attempts > 0,
            isNotFoundGraceOver: write.pending.notFoundSince.map { now - $0 >= limits.notFoundGraceMilliseconds }
                ?? (limits.notFoundGraceMilliseconds == 0),
            isForeignGraceOver: write.pending.notFoundSince.map { now - $0 >= limits.foreignReplyGraceMilliseconds }
                ?? (limits.foreignReplyGraceMilliseconds == 0)
        )
    }

    private static func entry(_ outcome: DeliveryOutcome, _ timing: Timing) -> AttemptLog.Entry {
        var entry = AttemptLog.Entry(
            startedAtMilliseconds: timing.startedAtWallMilliseconds,
            durationMilliseconds: timing.durationMilliseconds
        )
        switch outcome {
        case .reply(let reply): entry.status = reply.status
        case .failure(let failure): entry.error = String(failure.message.prefix(AttemptLog.maxErrorCharacters))
        }
        return entry
    }

    // MARK: - Again

    private mutating func tryAgain(
        _ change: Change,
        _ retry: DeliveryVerdict.Retry,
        now: RelayTime,
        _ backoffMilliseconds: (Int64) -> Int64
    ) -> Ended {
        var change = change
        let row = change.write.keyRow
        change.write.pending.isAmbiguous = change.write.pending.isAmbiguous || retry.isAmbiguous
        let asked = min(max(retry.retryAfterMilliseconds ?? 0, 0), limits.maxRetryAfterMilliseconds)
        // A contact that fails whatever it is sent is not tried more often because it is written more often.
        let covered = lanes[change.contact]?.writes.prefix(change.index).map(\.pending.attempts).max() ?? 0
        let until =
            retry.isAtOnce ? now : now + max(asked, backoffMilliseconds(max(change.write.pending.attempts, covered)))
        var answers: [Answer] = []
        if retry.pausesKey {
            // Those that were under way together count as one.
            if pausedKeys[row] ?? now <= now { pausesInARow[row, default: 0] += 1 }
            let pause = retry.retryAfterMilliseconds == nil ? backoffMilliseconds(pausesInARow[row] ?? 1) : asked
            // Never sooner than another 429 has asked already.
            self.pause(key: row, until: max(now + pause, pausedKeys[row] ?? now))
            answers += releaseWaiters { $0.keyRow == row }
        }
        if retry.pausesUpstream { answers += suspectPause(change.contact, until: now + asked, now) }
        if heldKeys[row] != nil {
            // A probe that did not come through, or a write that was under way when its key was refused.
            var ended = held(change, .key, error: retry.reason, until: until)
            ended.answers += answers
            return ended
        }
        change.write.pending.nextAttempt = until
        let contact = change.contact
        var ended = record(change, error: retry.reason)
        lanes[contact]?.outageEndsParking = retry.endsWithOutage
        // Its sender, and those behind it in the lane, are told 202 at the first retryable outcome (§3.2).
        ended.answers = answers + (lanes[contact]?.writes.indices ?? 0..<0).compactMap { takeWaiter(contact, $0) }
        return ended
    }

    private mutating func pause(key row: Int64, until: RelayTime) {
        pausedKeys[row] = until
        firstPauseEnds = min(until, firstPauseEnds ?? until)
    }

    /// A 503 with `Retry-After` pauses its own entry; a second contact that gets one confirms that it is the upstream.
    private mutating func suspectPause(
        _ contact: ContactReference,
        until: RelayTime,
        _ now: RelayTime
    ) -> [Answer] {
        defer { pauseSuspect = (contact, until) }
        guard let suspect = pauseSuspect, suspect.contact != contact, suspect.until > now else { return [] }
        upstreamPausedUntil = max(until, upstreamPausedUntil ?? until)
        return releaseWaiters { _ in true }
    }

    /// The write leaves its lane as soon as that is durable.
    private mutating func held(_ change: Change, _ hold: WriteHold, error: String, until: RelayTime) -> Ended {
        var change = change
        change.write.pending.hold = hold
        change.write.pending.replay = max(change.write.pending.replay, .underRule)
        change.write.pending.nextAttempt = until
        var ended = record(change, error: error)
        if let answer = takeWaiter(change.contact, change.index) { ended.answers.append(answer) }
        return ended
    }

    private mutating func record(_ change: Change, error: String) -> Ended {
        for index in 0..<change.index { lanes[change.contact]?.writes[index].isCovered = false }
        lanes[change.contact]?.writes[change.index] = change.write
        lanes[change.contact]?.outageEndsParking = false
        return Ended(
            record: .attempt(
                AttemptRecord(before: change.before, after: change.write.pending, lastError: error, refusedKey: nil)
            )
        )
    }

    // MARK: - Ends

    /// Ends the write; a sender that waits gets the reply once that is durable.
    private mutating func ended(
        _ change: Change,
        as state: WriteState,
        _ outcome: DeliveryOutcome,
        keyVerdict: EndRecord.KeyVerdict?
    ) -> Ended {
        guard case .reply(let reply) = outcome else { preconditionFailure("only a reply ends a write") }
        let contact = change.contact
        let isDelivered = state == .delivered
        lanes[contact]?.writes[change.index] = change.write
        lanes[contact]?.reply = reply
        lanes[contact]?.isDelivered = isDelivered
        var covered: [PendingWrite] = []
        for index in 0..<change.index where lanes[contact]?.writes[index].isCovered ?? false {
            if isDelivered {
                if let write = lanes[contact]?.writes[index].pending { covered.append(write) }
            } else {
                lanes[contact]?.writes[index].isCovered = false
            }
        }
        return Ended(
            record: .end(
                EndRecord(
                    write: change.write.pending,
                    state: state,
                    lastError: isDelivered ? nil : "status \(reply.status)",
                    response: StoredReply(reply),
                    keyVerdict: keyVerdict,
                    keyRow: change.write.keyRow,
                    covered: covered
                )
            )
        )
    }

    // MARK: - After the commit

    /// The record of an attempt is durable: the lane waits for its next one, or goes on without the write.
    mutating func attemptRecorded(_ contact: ContactReference, now: RelayTime) {
        guard let lane = lanes[contact], lane.phase == .recording, let index = lane.currentIndex else { return }
        let write = lane.writes[index]
        if write.pending.hold.isHeld {
            remove(at: index, of: contact, now: now)
            goOn(contact, now: now)
            return
        }
        letHeldLeave(contact, now)
        if let until = write.pending.nextAttempt, lanes[contact]?.currentIndex != nil {
            park(contact, until: until, endsWithOutage: lane.outageEndsParking)
        } else {
            goOn(contact, now: now)
        }
    }

    /// The end of a write is durable: its sender hears the reply, and the lane goes on.
    mutating func endRecorded(_ contact: ContactReference, now: RelayTime) -> Answer? {
        guard let lane = lanes[contact], lane.phase == .recording, let index = lane.currentIndex else { return nil }
        let (reply, isDelivered) = (lane.reply, lane.isDelivered)
        lanes[contact]?.reply = nil
        lanes[contact]?.isDelivered = false
        guard let write = remove(at: index, of: contact, now: now) else { return nil }
        if isDelivered { leaveBehind(contact, write.pending.sequence, index, now) }
        // It has expired, and those behind it may be too old as well.
        if reply == nil { expiring.insert(contact) }
        goOn(contact, now: now)
        guard let waiter = write.waiter else { return nil }
        // Without a reply it has expired, and its sender is told what anybody who waits too long is told.
        return Answer(
            waiter: waiter,
            answer: reply.map { .replied(write.pending.id, $0) } ?? .accepted(write.pending.id)
        )
    }

    /// What stands before a write that was delivered: what it covered has ended with it, and anything else came back
    /// too late, and falls under the replay rule.
    private mutating func leaveBehind(
        _ contact: ContactReference,
        _ delivered: Int64,
        _ count: Int,
        _ now: RelayTime
    ) {
        for index in (0..<count).reversed() {
            guard let write = lanes[contact]?.writes[index], write.pending.sequence < delivered else { continue }
            if write.isCovered {
                remove(at: index, of: contact, now: now)
            } else if write.pending.replay != .forced, let removed = remove(at: index, of: contact, now: now) {
                // By the replay rule; what was in order until now has no record of what was delivered.
                let isJudged = removed.pending.replay == .underRule
                leave(removed, isJudged ? .queued : .overtaken)
                if isJudged { queuedWritesAdded() }
            }
        }
    }
}

extension LaneSchedule.Ended.Record {
    fileprivate func refusing(key: Int64) -> Self {
        guard case .attempt(var attempt) = self else { return self }
        attempt.refusedKey = key
        return .attempt(attempt)
    }
}
