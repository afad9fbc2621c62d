import DexatelAPI

extension CommitDesk {
    /// What became of a write that was to come back.
    enum Return {
        /// It is pending, and no longer held.
        case released(PendingWrite)
        /// Nothing was left to send: it has ended as superseded.
        case superseded
        /// Something later was delivered: it waits for an operator.
        case overtaken
    }

    /// Lets a held write go, as far as the replay rule allows.
    mutating func release(
        _ stored: StoredWrite,
        semantics: PutSemantics,
        isForced: Bool = false
    ) throws -> Return {
        let before = stored.write
        var after = before
        after.hold = .none
        after.nextAttempt = nil
        if isForced { after.replay = .forced }
        switch try judge(stored, after.replay, semantics) {
        case .asItIs:
            return .released(ledger.move(before, to: after))
        case .without(let payload, let fields):
            after.fields = fields
            return .released(ledger.move(before, to: after, payload: payload))
        case .nothingLeft(let sequence):
            end(
                EndRecord(
                    write: before,
                    state: .superseded,
                    supersededBy: sequence,
                    keyRow: keys.effectiveRow(before.keyRow)
                )
            )
            return .superseded
        case .overtaken:
            after = before
            after.hold = .overtaken
            after.nextAttempt = nil
            ledger.move(before, to: after)
            return .overtaken
        }
    }

    func judge(_ stored: StoredWrite, _ replay: WriteReplay, _ semantics: PutSemantics) throws -> ReplayRule {
        let write = stored.write
        return ReplayRule.judge(
            sequence: write.sequence,
            method: write.method,
            payload: stored.payload,
            // A write that an operator's hold of its contact kept back has stayed in order, with all behind it.
            order: replay == .underRule ? try storage.order(of: write.contact) : nil,
            semantics: semantics,
            isForced: replay == .forced
        )
    }
}
