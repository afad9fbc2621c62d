import DexatelAPI

/// An operator's change of some writes: each is read, judged and changed on the commit thread, in one transaction.
struct ChangeWrites: CommitOperation {
    let change: WriteChange
    let sequences: [Int64]
    let engine: DeliveryEngine
    let done: @Sendable (Result<OperationResult, OutboxError>) -> Void

    private var semantics: PutSemantics { engine.limits.putSemantics }

    func run(_ desk: inout CommitDesk) throws -> () -> Void {
        var result = OperationResult()
        for sequence in sequences {
            // It may have been purged since it was selected.
            guard let stored = try desk.storage.write(sequence) else { continue }
            let refusal: OperationResult.Reason? =
                switch change {
                case .retry(let isForced): try retry(stored, isForced, &desk)
                case .release(let isForced): try release(stored, isForced, &desk)
                case .discard: discard(stored, &desk)
                }
            if let refusal {
                result.refuse(stored.write.id, refusal)
            } else {
                result.changed += 1
            }
        }
        return { [done, result] in done(.success(result)) }
    }

    func failed(_ error: OutboxError) { done(.failure(error)) }

    private func retry(
        _ stored: StoredWrite,
        _ isForced: Bool,
        _ desk: inout CommitDesk
    ) throws -> OperationResult.Reason? {
        guard stored.isDead else { return .otherState }
        var after = stored.write
        after.hold = .none
        after.nextAttempt = nil
        after.replay = isForced ? .forced : .underRule
        // Its age and its backoff begin anew: an operator has just decided that it is wanted.
        after.acceptedClock = desk.clock
        after.attempts = 0
        switch try desk.judge(stored, after.replay, semantics) {
        case .asItIs: desk.revive(stored.write, to: after, payload: stored.payload)
        case .without(let payload, let fields):
            after.fields = fields
            desk.revive(stored.write, to: after, payload: payload)
        case .nothingLeft: return .nothingLeft
        case .overtaken: return .overtaken
        }
        return nil
    }

    private func release(
        _ stored: StoredWrite,
        _ isForced: Bool,
        _ desk: inout CommitDesk
    ) throws -> OperationResult.Reason? {
        guard !stored.isDead else { return .otherState }
        let isStopped = desk.ledger.transaction.stoppedContacts.contains(stored.write.contact)
        if stored.write.hold == .none {
            if isStopped { return .contactStopped }
            return desk.keys.key(row: stored.write.keyRow)?.current.isHeld ?? false ? .keyRefused : .otherState
        }
        switch try desk.release(stored, semantics: semantics, isForced: isForced) {
        case .released(let write):
            desk.news.shown.append((write.contact, write.keyRow))
            return nil
        case .superseded: return nil
        case .overtaken: return .overtaken
        }
    }

    private func discard(_ stored: StoredWrite, _ desk: inout CommitDesk) -> OperationResult.Reason? {
        let write = stored.write
        if stored.isDead {
            desk.bury(write)
            return nil
        }
        guard engine.withdraw(write) else { return .inFlight }
        desk.end(EndRecord(write: write, state: .discarded, keyRow: desk.keys.effectiveRow(write.keyRow)))
        return nil
    }
}

extension CommitDesk {
    mutating func revive(_ dead: PendingWrite, to after: PendingWrite, payload: WritePayload) {
        ledger.revive(dead, to: after, payload: payload)
        news.revived.append(dead)
        news.shown.append((after.contact, after.keyRow))
    }

    mutating func bury(_ dead: PendingWrite) {
        ledger.bury(dead)
        news.buried.append(dead)
    }
}
