@testable import Outbox

/// Builds transactions as the commit thread would, and keeps the books to compare with.
struct StorageBooks {
    private(set) var counts = WriteCounts()
    private(set) var pending: [Int64: PendingWrite] = [:]
    private var touched: Set<Int64> = []
    private var transaction = OutboxTransaction()
    private var nextSequence: Int64 = 1
    private var hasKey = false

    mutating func accept(
        _ contact: Int,
        payload: WritePayload,
        method: WriteMethod = .put,
        nonce: Int64 = 7
    ) -> PendingWrite {
        if !hasKey {
            hasKey = true
            transaction.newKeys.append(
                .init(
                    row: 1,
                    fingerprint: Sample.key(1).fingerprint,
                    sealed: [1, 2, 3],
                    masterKeyIdentifier: Sample.vault.masterKeyIdentifier
                )
            )
        }
        let write = PendingWrite(
            id: WriteID(sequence: nextSequence, nonce: nonce),
            contact: Sample.contact(contact),
            keyRow: 1,
            method: method,
            storedBytes: payload.storedBytes,
            acceptedClock: 4_000,
            attempts: 0,
            nextAttempt: nil,
            isHeld: false,
            isAmbiguous: false
        )
        nextSequence += 1
        pending[write.id.sequence] = write
        transaction.accepts.append(.init(write: write, payload: payload, headerText: payload.headerText))
        transaction.pendingByKey[1, default: 0] += 1
        counts.accepted += 1
        counts.pending += 1
        counts.storedBytes += Int64(write.storedBytes)
        return write
    }

    /// Records an attempt; one change of a write in a transaction, as lanes guarantee.
    mutating func attempt(_ sequence: Int64, isHeld: Bool) {
        guard var write = pending[sequence], touched.insert(sequence).inserted else { return }
        let wasHeld = write.isHeld
        write.attempts += 1
        write.isHeld = isHeld
        write.nextAttempt = 6_000
        pending[sequence] = write
        counts.held += (isHeld ? 1 : 0) - (wasHeld ? 1 : 0)
        transaction.attempts.append(
            AttemptRecord(
                sequence: sequence,
                contact: write.contact,
                attempts: write.attempts,
                nextAttempt: 6_000,
                isHeld: isHeld,
                wasHeld: wasHeld,
                isAmbiguous: false,
                lastError: "status 500",
                refusedKey: nil
            )
        )
    }

    mutating func end(_ sequence: Int64, as state: WriteState) {
        guard let write = pending[sequence], touched.insert(sequence).inserted else { return }
        pending[sequence] = nil
        counts.countEnd(as: state)
        if write.isHeld { counts.held -= 1 }
        if state != .dead { counts.storedBytes -= Int64(write.storedBytes) }
        transaction.pendingByKey[1, default: 0] -= 1
        transaction.ends.append(
            EndRecord(
                sequence: sequence,
                contact: write.contact,
                state: state,
                attempts: write.attempts + 1,
                isAmbiguous: false,
                lastError: nil,
                response: StoredReply(Sample.reply(200)),
                supersededBy: nil,
                keyRow: 1,
                storedBytes: write.storedBytes,
                wasHeld: write.isHeld,
                keyVerdict: nil
            )
        )
    }

    /// The transaction so far; the next one begins.
    mutating func take() -> OutboxTransaction {
        defer {
            transaction = OutboxTransaction()
            touched = []
        }
        transaction.counts = counts
        transaction.nextSequence = nextSequence
        transaction.clock = 5_000
        transaction.wallMilliseconds = 9_000
        return transaction
    }
}
