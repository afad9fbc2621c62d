@testable import Outbox

/// Builds transactions as the commit thread would, and keeps the books to compare with.
struct StorageBooks {
    private(set) var pending: [Int64: PendingWrite] = [:]
    private(set) var dead: [Int64: PendingWrite] = [:]
    private var touched: Set<Int64> = []
    private var ledger: CommitLedger
    private var hasKey = false
    private var turns = LaneTurn.Counter()

    init() { ledger = Self.ledger(WriteCounts(), nextSequence: 1) }

    private static func ledger(_ counts: WriteCounts, nextSequence: Int64) -> CommitLedger {
        var transaction = OutboxTransaction()
        transaction.counts = counts
        transaction.nextSequence = nextSequence
        transaction.clock = 5_000
        transaction.wallMilliseconds = 9_000
        return CommitLedger(transaction)
    }

    var counts: WriteCounts { ledger.counts }

    mutating func accept(
        _ contact: Int,
        payload: WritePayload,
        method: WriteMethod = .put,
        nonce: Int64 = 7,
        idempotency: Idempotency? = nil
    ) -> PendingWrite {
        if !hasKey {
            hasKey = true
            ledger.add(
                newKey: .init(
                    row: 1,
                    fingerprint: Sample.key(1).fingerprint,
                    sealed: [1, 2, 3],
                    masterKeyIdentifier: Sample.vault.masterKeyIdentifier
                )
            )
        }
        let write = ledger.accept(
            NewWrite(
                contact: Sample.contact(contact),
                method: method,
                payload: payload,
                key: Sample.key(1),
                replyWaitMilliseconds: 0,
                sink: CollectingSink(),
                token: 0
            ),
            keyRow: 1,
            nonce: nonce,
            idempotency: idempotency
        )
        pending[write.sequence] = write
        return write
    }

    /// Records an attempt; one change of a write in a transaction, as lanes guarantee.
    mutating func attempt(_ sequence: Int64, hold: WriteHold = .none, next: RelayTime = 6_000) {
        guard let before = pending[sequence], touched.insert(sequence).inserted else { return }
        var write = before
        write.attempts += 1
        write.hold = hold
        if hold.isHeld { write.replay = .underRule }
        write.nextAttempt = next
        pending[sequence] = write
        ledger.record(AttemptRecord(before: before, after: write, lastError: "status 500", refusedKey: nil))
    }

    /// Holds a write, or lets it go, without an attempt.
    mutating func move(_ sequence: Int64, to hold: WriteHold) {
        guard let before = pending[sequence], touched.insert(sequence).inserted else { return }
        var write = before
        write.hold = hold
        if hold.isHeld { write.replay = .underRule }
        pending[sequence] = ledger.move(before, to: write)
    }

    mutating func end(_ sequence: Int64, as state: WriteState, covering covered: [Int64] = []) {
        guard var write = pending[sequence], touched.insert(sequence).inserted else { return }
        let coveredWrites = covered.compactMap { pending[$0] }
        for sequence in covered + [sequence] { pending[sequence] = nil }
        write.attempts += 1
        if state == .dead { dead[sequence] = write }
        ledger.record(
            EndRecord(
                write: write,
                state: state,
                response: StoredReply(Sample.reply(200)),
                keyRow: 1,
                covered: coveredWrites
            ),
            isKeyVerified: true
        )
    }

    mutating func revive(_ sequence: Int64, payload: WritePayload) {
        guard let write = dead[sequence], touched.insert(sequence).inserted else { return }
        dead[sequence] = nil
        var after = write
        (after.hold, after.replay) = (.none, .underRule)
        after.storedBytes = payload.storedBytes
        pending[sequence] = after
        ledger.revive(write, to: after, payload: payload)
    }

    mutating func bury(_ sequence: Int64) {
        guard let write = dead[sequence], touched.insert(sequence).inserted else { return }
        dead[sequence] = nil
        ledger.bury(write)
    }

    /// The transaction so far; the next one begins.
    mutating func take() -> OutboxTransaction {
        let clock = ledger.clock
        ledger.giveTurns { turns.next(clock) }
        let transaction = ledger.transaction
        touched = []
        ledger = Self.ledger(ledger.counts, nextSequence: transaction.nextSequence)
        return transaction
    }
}
