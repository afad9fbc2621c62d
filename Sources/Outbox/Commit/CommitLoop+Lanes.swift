import DequeModule
import DexatelAPI
import Dispatch
import Logging
import NIOCore
import Synchronization

/// Finds the lanes whose turn has come, between the transactions.
extension CommitLoop {
    /// Lanes that one step of a walk looks at, so that writers behind hardly wait.
    private static let walkStep = 512
    /// Repairs that one look for lanes makes at most, before other work has its turn.
    private static let maxRepairs = 8

    /// When there is something to do for lanes though nothing happens until then.
    var nextTurn: DispatchTime {
        guard !isFailed else { return .distantFuture }
        let now = thread.clock.now()
        if !lanes.passes.isEmpty || !lanes.flushes.isEmpty || !lanes.forgiven.isEmpty || thread.contacts.walk != nil {
            return .now()
        }
        var times = [lanes.judge.keys.nextAlarm, lanes.judge.forbidden.dueAt]
        if lanes.judge.upstream.probesAlone { times.append(lanes.judge.upstream.until) }
        guard let next = times.compactMap({ $0 }).filter({ $0 > now }).min() else { return .distantFuture }
        return .now() + .milliseconds(Int(clamping: min(next - now, 3_600_000)))
    }

    /// Takes one step of each walk, lets lanes go whose waits are over, and claims up to the bound.
    mutating func turnLanes() {
        do {
            try walkContacts()
            try pass()
            try flush()
            try forgive()
            try claimReady()
            if try endOutage() { try claimReady() }
        } catch {
            if !isDiskFull(error) { fail(error) }
        }
    }

    // MARK: - Claims

    /// What is found when a lane's turn has come, and has to be changed before it can be sent.
    private struct Repairs {
        var expired: [PendingWrite] = []
        /// Lanes whose turn was that of a write which waits for an earlier one with another key.
        var blocked: [PendingWrite] = []
        /// Writes that the replay rule does not let go as they are.
        var judged: [Int64] = []

        var isEmpty: Bool { expired.isEmpty && blocked.isEmpty && judged.isEmpty }
    }

    private mutating func claimReady() throws {
        for _ in 0..<Self.maxRepairs {
            guard fullUntil == nil, let room = engine.room() else { return }
            var (claims, repairs): ([Claim], Repairs) = ([], Repairs())
            var (left, bytes, busy) = (room.claims, room.bytes, room.busy)
            let now = thread.clock.now()
            while left > 0, bytes > 0, let look = lanes.judge.keys.next(now) {
                let share = max(1, left / max(lanes.judge.keys.readyCount, 1))
                let found = try self.look(look, share: share, maxBytes: bytes, busy: busy, now: now)
                for stored in found.writes {
                    guard let claim = try claim(stored, room.opening, now, &repairs) else { continue }
                    claims.append(claim)
                    busy.insert(claim.contact)
                    left -= 1
                    bytes -= claim.payload.body.readableBytes
                }
                let probe = look.isProbe ? claims.last.flatMap { $0.keyRow == look.keyRow ? $0.sequence : nil } : nil
                lanes.judge.keys.looked(
                    look,
                    probe: probe,
                    isExhausted: found.isExhausted,
                    nextTurn: found.nextTurn?.time,
                    now: now
                )
                if look.isProbe, !repairs.isEmpty { lanes.judge.keys.note(look.keyRow, at: now, now: now) }
                // What has to be repaired first would be found again and again.
                if !repairs.isEmpty { break }
            }
            engine.add(claims)
            guard !repairs.isEmpty else { return }
            repair(repairs)
            if isFailed { return }
        }
    }

    private struct Found {
        var writes: [StoredWrite] = []
        var isExhausted = true
        var nextTurn: LaneTurn?
    }

    private func look(
        _ look: KeyTurns.Look,
        share: Int,
        maxBytes: Int,
        busy: Set<ContactReference>,
        now: RelayTime
    ) throws -> Found {
        var found = Found()
        var bytes = 0
        let due = look.isProbe ? nil : LaneTurn.due(now)
        let most = look.isProbe ? 1 : share
        for row in thread.keys.rows(of: look.keyRow) {
            let isExhausted = try storage.claim(keyRow: row, due: due) { contact, read in
                guard !busy.contains(contact) else { return true }
                guard found.writes.count < most, bytes < maxBytes else { return false }
                let stored = try read()
                bytes += stored.payload.body.readableBytes
                found.writes.append(stored)
                return true
            }
            found.isExhausted = found.isExhausted && isExhausted
            if isExhausted, let next = try storage.nextTurn(keyRow: row, after: due) {
                found.nextTurn = min(next, found.nextTurn ?? next)
            }
        }
        return found
    }

    /// The write of a lane that is to be sent; nil when something has to be changed first.
    private func claim(
        _ stored: StoredWrite,
        _ opening: Int,
        _ now: RelayTime,
        _ repairs: inout Repairs
    ) throws -> Claim? {
        let head = stored.write
        guard let key = thread.keys.key(row: head.keyRow), let keyRow = key.current.row else {
            throw OutboxError(
                .damaged,
                "the key \(head.keyRow) of the pending write \(head.id) is not in the outbox",
                isOfRow: true
            )
        }
        guard now - head.acceptedClock <= lanes.judge.limits.maxAgeMilliseconds else {
            repairs.expired.append(head)
            return nil
        }
        var claim = Claim(write: head, payload: stored.payload, key: key, keyRow: keyRow, opening: opening)
        if thread.contacts.most(head.contact) != 1 {
            guard let before = try place(&claim) else {
                repairs.blocked.append(head)
                return nil
            }
            try cover(&claim, before: before)
            guard now - claim.write.acceptedClock <= lanes.judge.limits.maxAgeMilliseconds else {
                repairs.expired.append(claim.write)
                return nil
            }
        }
        guard claim.write.replay == .underRule else { return claim }
        let rule = ReplayRule.judge(
            sequence: claim.sequence,
            method: claim.write.method,
            payload: claim.payload,
            order: try storage.order(of: claim.contact),
            semantics: lanes.judge.limits.putSemantics,
            isForced: false
        )
        guard rule == .asItIs else {
            repairs.judged.append(claim.sequence)
            return nil
        }
        return claim
    }

    /// Looks at the other keys' writes in the lane.
    ///
    /// - Returns: Where the first of them behind the write comes; nil when an earlier one has to be sent first.
    private func place(_ claim: inout Claim) throws -> Int64? {
        var before = Int64.max
        for head in try storage.heads(of: claim.contact) where head.keyRow != claim.write.keyRow {
            if head.sequence > claim.sequence {
                before = min(before, head.sequence)
                continue
            }
            guard lanes.judge.keys.isHeld(thread.keys.effectiveRow(head.keyRow)) else { return nil }
            claim.passes = true
            if let next = try storage.nextSequence(claim.contact, keyRow: head.keyRow, after: claim.sequence) {
                before = min(before, next)
            }
        }
        return before
    }

    /// Finds the write that stands for those before it (design §3.4).
    private func cover(_ claim: inout Claim, before: Int64) throws {
        var covering = Covering(
            claim.write,
            isWaitedFor: engine.isWaitedFor(claim.sequence),
            limits: lanes.judge.limits
        )
        guard covering.wantsMore else { return }
        try storage.followers(of: claim.write, before: before) { write in
            covering.add(write, isWaitedFor: engine.isWaitedFor(write.sequence))
            return covering.wantsMore
        }
        guard covering.index > 0 else { return }
        let write = covering.writes[covering.index]
        guard let stored = try storage.write(write.sequence), !stored.isDead else {
            throw OutboxError(.damaged, "the pending write \(write.id) is not where its lane has it")
        }
        (claim.write, claim.payload) = (stored.write, stored.payload)
        claim.covered = Array(covering.writes[..<covering.index])
    }

    private mutating func repair(_ repairs: Repairs) {
        if !repairs.expired.isEmpty { expire(repairs.expired) }
        guard !isFailed, !repairs.blocked.isEmpty || !repairs.judged.isEmpty else { return }
        perform(
            RepairLanes(
                blocked: repairs.blocked,
                judged: repairs.judged,
                semantics: lanes.judge.limits.putSemantics
            )
        )
    }

    // MARK: - Deaths

    /// Writes that grew too old die, as many as the brake lets; the others stay pending.
    mutating func expire(_ writes: [PendingWrite]) {
        let limit = lanes.judge.limits.maxDeathsPerMinute
        let allowed = lanes.judge.brake.take(writes.count, limit: limit, now: thread.clock.now())
        if allowed > 0 { perform(ExpireWrites(writes: Array(writes.prefix(allowed)), engine: engine)) }
        putBrakeOn()
    }

    /// Pauses deliveries, over restarts too, as too many acknowledged writes would die.
    mutating func putBrakeOn() {
        guard !isFailed, lanes.judge.brake.takeNews() else { return }
        engine.setPaused(.deaths)
        thread.logger.critical(
            "deliveries are paused: too many acknowledged writes would become dead letters; see them, then `outbox resume`",
            metadata: [
                "max_deaths_per_minute": "\(lanes.judge.limits.maxDeathsPerMinute)", "pending": "\(counts.pending)",
                "dead": "\(counts.dead)",
            ]
        )
        perform(PauseDeliveries(pause: .deaths, engine: engine) { _ in })
    }

    // MARK: - Walks

    /// Finds out which contacts have pending writes, after a start.
    private func walkContacts() throws {
        guard let (after, isHeld) = thread.contacts.walk else { return }
        thread.contacts.walked(
            try storage.pendingContacts(after: after, isHeld: isHeld, limit: Self.walkStep)
        )
    }

    /// A key is held: other keys' writes that had to wait for its own go on.
    private mutating func pass() throws {
        guard var pass = lanes.passes.first else { return }
        let heads = try storage.lanes(keyRow: pass.keyRow, after: pass.after, limit: Self.walkStep)
        let mixed = heads.map(\.contact).filter { thread.contacts.most($0) != 1 }
        lanes.passes.removeFirst()
        if let last = heads.last, let turn = last.turn, heads.count == Self.walkStep {
            pass.after = (turn.number, last.sequence)
            lanes.passes.append(pass)
        }
        if !mixed.isEmpty { perform(TouchLanes(contacts: mixed)) }
    }

    /// An operator wants whatever waits for a time to go now.
    private mutating func flush() throws {
        guard let row = lanes.flushes.popFirst() else { return }
        let due = LaneTurn.due(thread.clock.now())
        let waiting = try storage.lanes(keyRow: row, after: (due.number, .max), limit: Self.walkStep)
        if waiting.count == Self.walkStep { lanes.flushes.append(row) }
        if !waiting.isEmpty { perform(TouchLanes(contacts: [], served: waiting)) }
    }

    /// Lets 403s go that are due, and those of a key that the upstream takes again.
    private mutating func forgive() throws {
        let now = thread.clock.now()
        let room = lanes.judge.forbidden.room(lanes.judge.limits, now: now)
        if room > 0 {
            let due = try storage.writes(.due(now), limit: room)
            perform(ReleaseWrites(writes: due, semantics: lanes.judge.limits.putSemantics))
            guard !isFailed else { return }
            lanes.judge.forbidden.released(due.count, next: try storage.nextHeldWriteDue())
        }
        guard let row = lanes.forgiven.popFirst() else { return }
        let held = try storage.writes(.keys(thread.keys.rows(of: row), .write), limit: ReleaseWrites.maxWrites)
        guard !held.isEmpty else { return }
        perform(ReleaseWrites(writes: held, semantics: lanes.judge.limits.putSemantics))
        if held.count == ReleaseWrites.maxWrites { lanes.forgiven.append(row) }
    }

    /// Lets lanes go on that waited only for the upstream to be there; whether there are any.
    private mutating func endOutage() throws -> Bool {
        if thread.hasRecovered.exchange(false, ordering: .acquiring) { lanes.isOutageOver = true }
        let now = thread.clock.now()
        if lanes.judge.upstream.probesAlone, !lanes.judge.upstream.isPaused(now), lanes.judge.keys.isIdle {
            // One of those that wait finds out, and not always the same.
            if engine.room(isUrgent: true)?.busy.isEmpty ?? false { lanes.isOutageOver = true }
        }
        guard lanes.isOutageOver, !isFailed else { return false }
        let waiting = try storage.lanesWaitingForUpstream(limit: Self.walkStep)
        if waiting.count < Self.walkStep { lanes.isOutageOver = false }
        guard !waiting.isEmpty else { return false }
        perform(TouchLanes(contacts: [], served: waiting))
        return !isFailed
    }
}

/// Looks which writes of lanes are to be sent first.
struct TouchLanes: CommitOperation {
    let contacts: [ContactReference]
    /// Lanes that have waited for long enough.
    var served: [LaneHead] = []

    func run(_ desk: inout CommitDesk) throws -> () -> Void {
        for contact in contacts { desk.ledger.touch(contact) }
        for head in served { desk.ledger.touch(head.contact, LaneTouch(served: head.keyRow)) }
        return {}
    }

    func failed(_ error: OutboxError) {}
}

/// Changes lanes whose turn has come, and that cannot be sent as they are.
private struct RepairLanes: CommitOperation {
    let blocked: [PendingWrite]
    let judged: [Int64]
    let semantics: PutSemantics

    func run(_ desk: inout CommitDesk) throws -> () -> Void {
        for write in blocked { desk.ledger.touch(write.contact, LaneTouch(served: write.keyRow)) }
        for sequence in judged {
            guard let stored = try desk.storage.write(sequence), !stored.isDead else { continue }
            _ = try desk.release(stored, semantics: semantics)
        }
        return {}
    }

    func failed(_ error: OutboxError) {}
}

/// Lets held writes go, as far as the replay rule allows (design §3.3).
struct ReleaseWrites: CommitOperation {
    /// Writes that one of them lets go at most.
    static let maxWrites = 256

    let writes: [StoredWrite]
    let semantics: PutSemantics

    func run(_ desk: inout CommitDesk) throws -> () -> Void {
        for stored in writes { _ = try desk.release(stored, semantics: semantics) }
        return {}
    }

    func failed(_ error: OutboxError) {}
}
