import DexatelAPI

/// A transaction that is being put together, with the books that it leaves: every change of a write is counted where it
/// is made (P2).
struct CommitLedger {
    private(set) var transaction: OutboxTransaction

    init(_ transaction: OutboxTransaction) {
        self.transaction = transaction
    }

    var counts: WriteCounts { transaction.counts }
    var clock: RelayTime { transaction.clock }

    /// Whether nothing would be changed.
    var isEmpty: Bool {
        transaction.accepts.isEmpty && transaction.attempts.isEmpty && transaction.moves.isEmpty
            && transaction.ends.isEmpty && transaction.revivals.isEmpty && transaction.buried.isEmpty
            && transaction.newKeys.isEmpty && transaction.sealedKeys.isEmpty && transaction.stops.isEmpty
            && transaction.lanes.isEmpty && transaction.told.isEmpty && transaction.untold.isEmpty
            && transaction.pause == nil && transaction.keyHolds.isEmpty && transaction.takenKeys.isEmpty
            && transaction.successors.isEmpty && transaction.verifiedKeys.isEmpty && transaction.refusedKeys.isEmpty
            && transaction.unsealedKeys.isEmpty && transaction.discardedDamaged.isEmpty
    }

    // MARK: - Writes

    /// - Parameter turn: Its turn, if its lane is empty; else its lane is touched.
    mutating func accept(
        _ write: NewWrite,
        keyRow: Int64,
        nonce: Int64,
        idempotency: Idempotency?,
        turn: LaneTurn? = nil
    ) -> PendingWrite {
        let pending = PendingWrite(
            id: WriteID(sequence: transaction.nextSequence, nonce: nonce),
            contact: write.contact,
            keyRow: keyRow,
            method: write.method,
            storedBytes: write.admittedBytes,
            acceptedClock: transaction.clock,
            fields: write.fields
        )
        transaction.nextSequence += 1
        transaction.accepts.append(
            .init(
                write: pending,
                payload: write.payload,
                headerText: write.headerText,
                checksum: write.checksum.sum(pending.id, pending.contact, keyRow: keyRow, pending.method),
                idempotency: idempotency,
                turn: turn
            )
        )
        if turn == nil { touch(write.contact) }
        note(pending, 1)
        transaction.counts.accepted += 1
        transaction.counts.pending += 1
        transaction.counts.storedBytes += Int64(pending.storedBytes)
        transaction.pendingByKey[keyRow, default: 0] += 1
        return pending
    }

    mutating func record(_ attempt: AttemptRecord) {
        transaction.attempts.append(attempt)
        count(from: attempt.before, to: attempt.after)
        if let key = attempt.refusedKey {
            transaction.refusedKeys.insert(key)
            transaction.verifiedKeys.remove(key)
        }
    }

    /// Changes the place of a pending write, and what it sends if that changes.
    @discardableResult
    mutating func move(
        _ before: PendingWrite,
        to after: PendingWrite,
        payload: WritePayload? = nil
    ) -> PendingWrite {
        var after = after
        if let payload {
            after.storedBytes = payload.storedBytes
            transaction.counts.storedBytes += Int64(after.storedBytes - before.storedBytes)
        }
        count(from: before, to: after)
        transaction.moves.append(.init(write: after, payload: payload))
        touch(after.contact)
        return after
    }

    /// A write has come to where it is, or has gone from there.
    private mutating func note(_ write: PendingWrite, _ change: Int) {
        let isHeld = write.hold.isHeld
        transaction.contactChanges.append(.init(contact: write.contact, isHeld: isHeld, count: change))
        guard isHeld || transaction.stoppedContacts.contains(write.contact) else { return }
        transaction.heldByKey[write.keyRow, default: 0] += Int64(change)
    }

    /// Holds, and being out of order, are counted by the difference.
    private mutating func count(from before: PendingWrite, to after: PendingWrite) {
        if after.hold.isHeld != before.hold.isHeld {
            note(before, -1)
            note(after, 1)
        }
        let change = (after.isOutOfOrder ? 1 : 0) - (before.isOutOfOrder ? 1 : 0)
        if change != 0 { transaction.outOfOrder[after.contact, default: 0] += Int64(change) }
    }

    /// - Parameter isKnown: Whether the key is known to be taken by the upstream already, and not refused since: only a
    ///   change is worth a row.
    mutating func record(_ end: EndRecord, isKeyVerified: Bool) {
        transaction.ends.append(end)
        countEnd(end.write, as: end.state)
        for covered in end.covered { countEnd(covered, as: .superseded) }
        switch end.keyVerdict {
        case .verified:
            if !isKeyVerified || transaction.refusedKeys.contains(end.keyRow) {
                transaction.verifiedKeys.insert(end.keyRow)
                transaction.refusedKeys.remove(end.keyRow)
            }
        case .refused:
            transaction.refusedKeys.insert(end.keyRow)
            transaction.verifiedKeys.remove(end.keyRow)
        case nil: break
        }
    }

    private mutating func countEnd(_ write: PendingWrite, as state: WriteState) {
        transaction.counts.countEnd(as: state)
        note(write, -1)
        transaction.pendingByKey[write.keyRow, default: 0] -= 1
        // A dead write is out of order until an operator acts.
        let isOut = state == .dead
        if isOut != write.isOutOfOrder { transaction.outOfOrder[write.contact, default: 0] += isOut ? 1 : -1 }
        if isOut {
            transaction.deadByKey[write.keyRow, default: 0] += 1
        } else {
            transaction.counts.storedBytes -= Int64(write.storedBytes)
        }
    }

    // MARK: - The dead

    /// Makes a dead write pending again.
    mutating func revive(_ dead: PendingWrite, to after: PendingWrite, payload: WritePayload) {
        var after = after
        after.storedBytes = payload.storedBytes
        transaction.revivals.append(.init(write: after, payload: payload))
        touch(after.contact)
        note(after, 1)
        transaction.counts.dead -= 1
        transaction.counts.pending += 1
        transaction.counts.storedBytes += Int64(after.storedBytes - dead.storedBytes)
        transaction.deadByKey[dead.keyRow, default: 0] -= 1
        transaction.pendingByKey[dead.keyRow, default: 0] += 1
    }

    /// Discards a dead write, on an operator's word.
    mutating func bury(_ dead: PendingWrite) {
        transaction.buried.append(dead.sequence)
        transaction.counts.dead -= 1
        transaction.counts.discarded += 1
        transaction.counts.receipts += 1
        transaction.counts.storedBytes -= Int64(dead.storedBytes)
        transaction.deadByKey[dead.keyRow, default: 0] -= 1
        transaction.outOfOrder[dead.contact, default: 0] -= 1
    }

    /// Discards a damaged write, on an operator's word.
    mutating func discardDamaged(_ write: DamagedWriteReport) {
        transaction.discardedDamaged.append(write.sequence)
        guard write.place != DamagedWrite.Place.receipt.rawValue else { return }
        transaction.counts.damaged -= 1
        transaction.counts.discarded += 1
    }

    // MARK: - Receipts

    mutating func purge(endedBefore: RelayTime) { transaction.purgeEndedBefore = endedBefore }

    // MARK: - The rest

    mutating func add(newKey key: OutboxTransaction.KeyRow) { transaction.newKeys.append(key) }
    mutating func add(sealedKey key: OutboxTransaction.KeyRow) { transaction.sealedKeys.append(key) }
    mutating func verify(_ row: Int64) { transaction.verifiedKeys.insert(row) }
    mutating func unseal(_ rows: [Int64]) { transaction.unsealedKeys += rows }

    mutating func replace(key row: Int64, by successor: Int64) {
        transaction.successors.append((row, successor))
        transaction.verifiedKeys.insert(successor)
        transaction.refusedKeys.insert(row)
        transaction.verifiedKeys.remove(row)
    }

    /// - Parameter counts: Its writes that are not held by themselves, by key.
    mutating func stop(_ contact: ContactReference, _ isStopped: Bool, _ counts: [Int64: Int64]) {
        guard transaction.stoppedContacts.contains(contact) != isStopped else { return }
        transaction.stops.append((contact, isStopped))
        if isStopped {
            transaction.stoppedContacts.insert(contact)
        } else {
            transaction.stoppedContacts.remove(contact)
        }
        for (row, count) in counts { transaction.heldByKey[row, default: 0] += isStopped ? count : -count }
        touch(contact)
    }

    mutating func pause(_ pause: DeliveryPause) { transaction.pause = pause }

    // MARK: - Lanes

    /// The first write of a lane, or its turn, may be another one.
    mutating func touch(_ contact: ContactReference) {
        if transaction.lanes[contact] == nil { transaction.lanes[contact] = LaneTouch() }
    }

    /// The lane was served.
    mutating func touch(_ contact: ContactReference, _ touch: LaneTouch) { transaction.lanes[contact] = touch }

    /// Gives turns to the lanes that take the next one.
    mutating func giveTurns(_ next: () -> LaneTurn) {
        for (contact, touch) in transaction.lanes where touch.turn == nil {
            transaction.lanes[contact]?.turn = next()
        }
    }

    /// Keeps which keys are held, and how many writes are held in all.
    mutating func setHolds(_ changes: [Int64: Bool], rows: Set<Int64>, held: Int64) {
        transaction.keyHolds = changes
        transaction.heldRows = rows
        transaction.counts.held = held
    }

    /// The upstream takes a key, with whatever it answered.
    mutating func take(_ row: Int64) {
        transaction.takenKeys.insert(row)
        transaction.refusedKeys.remove(row)
    }

    mutating func told(_ death: OutboxTransaction.Death) { transaction.told.append(death) }

    mutating func tellLater(_ death: OutboxTransaction.Death, at time: RelayTime) {
        transaction.untold.append((death, time))
    }
}

extension PendingWrite {
    /// Whether what is delivered to its contact meanwhile has to be remembered.
    var isOutOfOrder: Bool { replay != .inOrder }
}

/// What an idempotency key stands for (IETF draft): both are keyed hashes.
struct Idempotency: Sendable, Hashable {
    /// Of the API key and the idempotency key.
    var key: [UInt8]
    /// Of method, target and body.
    var content: [UInt8]
}
