import DexatelAPI

/// Brings held writes back, a batch at a time, as far as the replay rule allows (design §3.3).
struct RecallWrites: CommitOperation {
    let request: LaneSchedule.RecallRequest
    let semantics: PutSemantics
    /// What was brought back: it is pending, and no longer held.
    let done: @Sendable (_ writes: [Returned], _ isExhausted: Bool, _ nextDue: RelayTime?) -> Void

    typealias Returned = (write: PendingWrite, predecessor: LaneSchedule.Predecessor)

    /// Held writes that are looked at for one that can probe its key.
    private static let probeCandidates = 16

    func run(_ desk: inout CommitDesk) throws -> () -> Void {
        let limit = request.limit
        switch request.recall {
        case .probe(let row):
            let rows = desk.keys.rows(of: row)
            let candidates = try desk.storage.writes(.keys(rows, .key), limit: Self.probeCandidates)
            let isExhausted = candidates.count < Self.probeCandidates
            for candidate in candidates {
                if case .released(let write) = try desk.release(candidate, semantics: semantics) {
                    let storage = desk.storage
                    return { [done] in done([Self.returned(write, storage)], false, nil) }
                }
            }
            return { [done] in done([], isExhausted, nil) }
        case .key(let row):
            let rows = desk.keys.rows(of: row)
            var stored = try desk.storage.writes(.keys(rows, .key), limit: limit)
            stored += try desk.storage.writes(.keys(rows, .write), limit: limit - stored.count)
            return try bring(stored, &desk)
        case .contact(let contact):
            let stored = try desk.storage.writes(.contact(contact), limit: limit)
            return try bring(stored, &desk)
        case .due:
            return try bring(try desk.storage.writes(.due(desk.clock), limit: limit), &desk)
        case .queued:
            return try bring(try desk.storage.writes(.queued, limit: limit), &desk)
        }
    }

    private func bring(_ stored: [StoredWrite], _ desk: inout CommitDesk) throws -> () -> Void {
        var writes: [PendingWrite] = []
        for write in stored {
            if case .released(let write) = try desk.release(write, semantics: semantics) { writes.append(write) }
        }
        let isExhausted = stored.count < request.limit
        let storage = desk.storage
        let isDue = request.recall == .due
        return { [done, writes] in
            // Read again when the changes are there.
            done(
                writes.map { Self.returned($0, storage) },
                isExhausted,
                isDue ? (try? storage.nextHeldWriteDue()) ?? nil : nil
            )
        }
    }

    private static func returned(_ write: PendingWrite, _ storage: any OutboxStorage) -> Returned {
        (write, (try? storage.predecessor(of: write)) ?? .unknown)
    }

    func failed(_ error: OutboxError) {}
}

/// All writes of a contact that an operator has let go are back.
struct ForgetStop: CommitOperation {
    let contact: ContactReference

    func run(_ desk: inout CommitDesk) throws -> () -> Void {
        desk.ledger.restarted(contact)
        return {}
    }

    func failed(_ error: OutboxError) {}
}
