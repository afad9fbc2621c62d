import DexatelAPI
import Synchronization

/// Writes and outcomes of attempts, all that has gathered in one transaction.
extension CommitLoop {
    // MARK: - Outcomes

    /// Decides what outcomes mean, and answers those who need not wait for that to be durable.
    mutating func decide(_ outcomes: [(outcome: AttemptOutcome, waiter: Waiter?)]) -> [LaneDecision] {
        guard !outcomes.isEmpty else { return [] }
        lanes.judge.limits = engine.limits
        let opening = engine.opening
        var endedOfKey: [Int64: Int] = [:]
        var answers: [SenderAnswer] = []
        var decisions: [LaneDecision] = []
        for (outcome, waiter) in outcomes {
            guard outcome.claim.opening == opening else {
                // Its lane is free to be claimed anew.
                let now = thread.clock.now()
                lanes.judge.keys.note(thread.keys.effectiveRow(outcome.claim.write.keyRow), at: now, now: now)
                if let waiter { answers.append(waiter.accepted) }
                continue
            }
            let row = outcome.claim.keyRow
            let world = world(outcome.claim, endedOfKey[row] ?? 0)
            var waiter = waiter
            if acknowledgedWrites.remove(outcome.claim.sequence) != nil, let sender = waiter {
                answers.append(sender.accepted)
                waiter = nil
            }
            var decision = lanes.judge.decide(outcome, waiter: waiter, world)
            answers += decision.answers
            decision.answers = []
            if let end = decision.end { endedOfKey[row, default: 0] += 1 + end.covered.count }
            apply(decision, world)
            decisions.append(decision)
        }
        engine.setUpstream(pausedUntil: lanes.judge.upstream.until, probesAlone: lanes.judge.upstream.probesAlone)
        engine.send(answers)
        if lanes.judge.brake.isNews { engine.setPaused(.deaths) }
        if let notice = lanes.judge.upstream.takeNotice() { thread.tell(notice) }
        return decisions
    }

    private func world(_ claim: Claim, _ endedOfKey: Int) -> LaneJudge.World {
        let keys = thread.keys
        let status = keys.key(row: claim.write.keyRow)?.current
        let others = (status?.committed ?? 0) - (status?.held ?? 0) - 1 - endedOfKey
        return LaneJudge.World(
            now: thread.clock.now(),
            isKeyCurrent: keys.effectiveRow(claim.write.keyRow) == claim.keyRow,
            acknowledgedOthers: others - engine.waitingCount(ofKey: claim.keyRow),
            backoffMilliseconds: engine.parts.backoffMilliseconds
        )
    }

    /// What an outcome says of the key, the upstream and those who wait.
    private mutating func apply(_ decision: LaneDecision, _ world: LaneJudge.World) {
        let (row, contact) = (decision.claim.keyRow, decision.claim.contact)
        switch decision.keyNews {
        case .held?:
            lanes.hold(row, by: decision.claim.write, keys: thread.keys, now: world.now)
            giveBack { $0.keyRow == row }
            engine.releaseWaiters { $0.keyRow == row }
        case .taken?: lanes.take(row, now: world.now)
        case nil: break
        }
        switch decision.released {
        case .none: break
        case .lane: engine.releaseWaiters { $0.contact == contact }
        case .laneAndKey:
            giveBack { $0.keyRow == row }
            releaseWaiters(behind: row, contact)
        case .all: engine.releaseWaiters { _ in true }
        }
        if decision.endsOutage { lanes.isOutageOver = true }
    }

    /// Nobody waits for a key that must not be used, or behind a write with it.
    private func releaseWaiters(behind keyRow: Int64, _ contact: ContactReference) {
        guard engine.waitingCount > 0 else { return }
        var contacts: Set<ContactReference> = [contact]
        engine.releaseWaiters { waiter in
            guard waiter.keyRow == keyRow else { return false }
            contacts.insert(waiter.contact)
            return true
        }
        engine.releaseWaiters { contacts.contains($0.contact) }
    }

    /// Gives claims whose attempts have not begun back to the database, which is asked for their keys' lanes again.
    private mutating func giveBack(where isMeant: (Claim) -> Bool) {
        let now = thread.clock.now()
        for claim in engine.withdraw(where: isMeant) {
            lanes.judge.keys.probeWithdrawn(claim.sequence, of: claim.keyRow, now: now)
            lanes.judge.keys.note(claim.keyRow, at: now, now: now)
        }
    }

    // MARK: - The transaction

    mutating func commitBatch(_ writes: [NewWrite], _ decisions: [LaneDecision]) {
        var desk = newDesk()
        var accepted: [(write: NewWrite, pending: PendingWrite)] = []
        var repetitions = Repetitions(ends: decisions.compactMap(\.end))
        let result: CommitResult
        do {
            for decision in decisions { record(decision, &desk) }
            var contacts: Set<ContactReference> = []
            for write in writes {
                let idempotency = write.idempotency(in: thread.keys.vault)
                if try repetitions.take(write, idempotency, storage) { continue }
                let row = try desk.row(of: write.key)
                let nonce = Int64.random(in: .min ... .max)
                let isFirst = contacts.insert(write.contact).inserted && isEmpty(write.contact, desk)
                let turn = isFirst ? lanes.turn(of: write.contact, desk.clock) : nil
                let pending = desk.ledger.accept(
                    write,
                    keyRow: row,
                    nonce: nonce,
                    idempotency: idempotency,
                    turn: turn
                )
                accepted.append((write, pending))
                if let idempotency {
                    repetitions.remember(idempotency, pending, write, at: desk.ledger.transaction.wallMilliseconds)
                }
            }
            result = try save(desk)
        } catch {
            if isDiskFull(error) {
                refuseWrites(writes)
                if !decisions.isEmpty { commitBatch([], decisions) }
                return
            }
            fail(error)
            refuseWrites(writes)
            refuse(decisions)
            return
        }
        let bytes = accepted.reduce(0) { $0 + $1.write.admittedBytes }
        thread.admission.commit(counts, writes: accepted.count, bytes: bytes)
        if filesFault != nil { accepted = doubted(accepted) }
        repetitions.answer(thread, isKept: filesFault == nil)
        for (write, _) in accepted { thread.keys.commit(write.key) }
        count(decisions)
        goOn(desk, accepted, decisions, result)
        acknowledge(repetitions.acknowledged)
        thread.tellDeaths(decisions.compactMap(\.end))
    }

    /// Ends the waits for writes that a second sender gets a 202 for: the upstream's refusal of them makes dead letters.
    mutating func acknowledge(_ sequences: Set<Int64>) {
        guard !sequences.isEmpty else { return }
        acknowledgedWrites.formUnion(engine.acknowledge(sequences))
    }

    /// Whether a contact has nothing that is pending, and nothing that a transaction says of its lane.
    private func isEmpty(_ contact: ContactReference, _ desk: CommitDesk) -> Bool {
        thread.contacts.most(contact) == 0 && !desk.ledger.transaction.stoppedContacts.contains(contact)
    }

    private mutating func record(_ decision: LaneDecision, _ desk: inout CommitDesk) {
        let (claim, now) = (decision.claim, desk.clock)
        var touch = LaneTouch(served: claim.write.keyRow)
        var isGone = true
        switch decision.change {
        case .again(let attempt, let time, let endsWithOutage):
            desk.ledger.record(attempt)
            isGone = false
            if time > now { (touch.turn, touch.endsWithOutage) = (LaneTurn(time), endsWithOutage) }
        case .held(let attempt): desk.ledger.record(attempt)
        case .ended(let end, _):
            let status = thread.keys.key(row: end.keyRow)?.current
            desk.ledger.record(end, isKeyVerified: status?.isVerified == true && status?.isRefused == false)
        }
        if decision.keyNews == .taken { for row in thread.keys.rows(of: claim.keyRow) { desk.ledger.take(row) } }
        let write = decision.end?.write ?? decision.attempt?.after ?? claim.write
        let settle = lanes.judge.limits.settleMilliseconds
        if isGone, write.isAmbiguous, settle > 0 {
            touch.turn = LaneTurn(now + settle)
            lanes.settle(claim.contact, until: now + settle)
        }
        // A lane that is empty then has no turn.
        let most = thread.contacts.most(claim.contact)
        if let end = decision.end, most == 1 + end.covered.count { return }
        desk.ledger.touch(claim.contact, touch)
    }

    /// The transaction is not known to be durable: what a refusal was, its sender must not be told (P1), nor that the write
    /// goes on, for it may have ended (P2).
    private func refuse(_ decisions: [LaneDecision]) {
        engine.send(
            decisions.compactMap { decision in
                guard let waiter = decision.waiter else { return nil }
                guard decision.end?.state == .delivered else {
                    return SenderAnswer(waiter: waiter, answer: .unavailable(.storageFailed))
                }
                return waiter.accepted
            }
        )
    }

    /// Keeps the counts of keys and of deaths in memory those of the database.
    private func count(_ decisions: [LaneDecision]) {
        let keys = thread.keys
        thread.transitions.withLock { transitions in
            for decision in decisions {
                if let end = decision.end { transitions.count(end) }
                if let attempt = decision.attempt { transitions.count(attempt) }
            }
        }
        for decision in decisions {
            if let end = decision.end {
                count(end)
                for covered in end.covered {
                    if let key = keys.key(row: covered.keyRow) { keys.end(key, verdict: nil) }
                }
            }
            if decision.keyNews == .taken, let key = keys.key(row: decision.claim.keyRow) { keys.take(key) }
            guard let attempt = decision.attempt else { continue }
            thread.tell(attempt)
            if let key = attempt.refusedKey.flatMap(keys.key) { keys.refuse(key) }
            if attempt.after.hold == .write, let key = keys.key(row: attempt.after.keyRow), keys.forbid(key) {
                thread.tellForbidden(key, attempt.after)
            }
        }
        tellAllowed(decisions.compactMap(\.end))
    }

    // MARK: - After it

    /// Lanes go on, senders are answered, and reads hear what they have to show.
    private mutating func goOn(
        _ desk: CommitDesk,
        _ accepted: [(write: NewWrite, pending: PendingWrite)],
        _ decisions: [LaneDecision],
        _ result: CommitResult
    ) {
        let isHealthy = engine.parts.transport.isHealthy
        tellHolds()
        engine.recorded(decisions.map(\.claim.contact))
        note(result.heads)
        let writes = follow(accepted, desk, result)
        let (answers, left) = engine.accept(writes, isUpstreamHealthy: isHealthy)
        for claim in left { note(claim) }
        if let observer = engine.changeObserver {
            for end in decisions.compactMap(\.end) { tell(observer, of: end) }
            for (write, pending) in accepted {
                observer.accepted(pending.contact, by: keyUsed(write, pending).fingerprint)
            }
        }
        engine.send(
            answers
                + decisions.compactMap { decision in
                    guard let waiter = decision.waiter, case .ended(let end, let reply) = decision.change else {
                        return nil
                    }
                    return SenderAnswer(waiter: waiter, answer: .replied(end.write.id, reply))
                }
        )
        // The breaker may have opened since it was asked, and told everybody else.
        if isHealthy, !engine.parts.transport.isHealthy { engine.upstreamLost() }
        engine.sendReady()
        engine.wakeIfDue()
    }

    private func tell(_ observer: any OutboxChangeObserver, of end: EndRecord) {
        let key = thread.keys.key(row: end.keyRow)?.fingerprint
        let isConfirmed = end.state == .delivered && (200..<300).contains(end.response?.status ?? 0)
        observer.ended(end.contact, by: key, isConfirmed: isConfirmed)
    }

    /// The key that a write is sent with: it may have been replaced while the write was on its way.
    private func keyUsed(_ write: NewWrite, _ pending: PendingWrite) -> KnownKey {
        write.key.current.isReplaced ? thread.keys.key(row: pending.keyRow) ?? write.key : write.key
    }

    /// How each write that was accepted goes on.
    private mutating func follow(
        _ accepted: [(write: NewWrite, pending: PendingWrite)],
        _ desk: CommitDesk,
        _ result: CommitResult
    ) -> [AcceptedWrite] {
        let now = desk.clock
        let heads = Dictionary(result.heads.map { ($0.contact, $0) }, uniquingKeysWith: { _, last in last })
        let turns = Dictionary(
            uniqueKeysWithValues: desk.ledger.transaction.accepts.compactMap { accept in
                accept.turn.map { (accept.write.sequence, $0) }
            }
        )
        return accepted.map { write, pending in
            let key = keyUsed(write, pending)
            let row = key.current.row ?? pending.keyRow
            let isKeyUsable = isUsable(row, now)
            let head = heads[pending.contact]
            let turn = turns[pending.sequence]
            let readyAt = turn?.time ?? head?.turn?.time
            let isHeadUsable = head.map { isUsable(thread.keys.effectiveRow($0.keyRow), now) } ?? true
            var accepted = AcceptedWrite(
                waiter: Waiter(
                    id: pending.id,
                    contact: pending.contact,
                    keyRow: row,
                    sink: write.sink,
                    token: write.token,
                    deadline: now + write.replyWaitMilliseconds
                ),
                mayWait: isKeyUsable && isHeadUsable && !lanes.judge.upstream.isPaused(now)
                    && readyAt.map { $0 <= now } ?? false
            )
            guard let turn else { return accepted }
            // A second write to the contact may be there as well: then the lane has one that was touched.
            if isKeyUsable, turn.time <= now, lanes.judge.keys.isIdle {
                accepted.claim = Claim(write: pending, payload: write.payload, key: key, keyRow: row)
            } else {
                lanes.judge.keys.note(row, at: turn.time, now: now)
            }
            return accepted
        }
    }

    private func isUsable(_ keyRow: Int64, _ now: RelayTime) -> Bool {
        !lanes.judge.keys.isHeld(keyRow) && lanes.judge.keys.pausedUntil(keyRow, now: now) == nil
    }

    private mutating func note(_ claim: Claim) {
        let now = thread.clock.now()
        lanes.judge.keys.note(claim.keyRow, at: now, now: now)
    }

    /// The heads of lanes are ready when their turns come.
    mutating func note(_ heads: [LaneHead]) {
        let now = thread.clock.now()
        for head in heads where !engine.isClaimed(head.contact) {
            guard let turn = head.turn else { continue }
            lanes.judge.keys.note(thread.keys.effectiveRow(head.keyRow), at: turn.time, now: now)
        }
    }

    /// Tells the log of keys that are held from now on, or no longer.
    ///
    /// What is claimed past the writes of a key that was held goes behind them again, unless it is under way.
    mutating func tellHolds() {
        let changed = lanes.takeChangedHolds()
        if changed.contains(where: { $0.news == .taken || $0.news == .idle }) { giveBack { $0.passes } }
        for (row, news) in changed {
            guard let key = thread.keys.key(row: row) else { continue }
            switch news {
            case .held(let write): thread.tellHeld(key, write)
            case .taken: thread.tellTaken(key)
            case .idle: break
            }
        }
    }

    /// What an operation has changed of lanes and keys.
    mutating func follow(_ news: CommitNews, _ result: CommitResult) {
        let now = thread.clock.now()
        for (row, successor) in news.replaced {
            giveBack { $0.keyRow == row }
            for row in thread.keys.rows(of: successor) {
                lanes.judge.keys.note(thread.keys.effectiveRow(row), at: now, now: now)
            }
        }
        if news.isResumed { lanes.judge.brake.release() }
        if news.isFlushed {
            lanes.flush(thread.keys, now: now)
            engine.flush()
        }
        for row in news.taken { if let key = thread.keys.key(row: row) { thread.keys.take(key) } }
        for (contact, isStopped) in news.stopped where isStopped {
            for claim in engine.withdraw(where: { $0.contact == contact }) {
                lanes.judge.keys.probeWithdrawn(claim.sequence, of: claim.keyRow, now: now)
            }
            engine.releaseWaiters { $0.contact == contact }
        }
        for end in news.ends {
            lanes.judge.keys.probeWithdrawn(end.sequence, of: end.keyRow, now: now)
            engine.releaseWaiters { $0.id.sequence == end.sequence }
        }
        tellHolds()
        // An operator has let an earlier write of a lane go.
        let first = Dictionary(result.heads.map { ($0.contact, $0.sequence) }, uniquingKeysWith: min)
        giveBack { claim in first[claim.contact].map { $0 < (claim.covered.first ?? claim.write).sequence } ?? false }
        note(result.heads)
        if let observer = engine.changeObserver {
            // Nobody waits for them; but reads have shown them.
            for end in news.ends { tell(observer, of: end) }
            for (contact, row) in news.shown {
                if let key = thread.keys.key(row: row) { observer.accepted(contact, by: key.fingerprint) }
            }
        }
        engine.wake()
    }
}
