import Synchronization

/// Counts what is in the outbox, and what is on its way there, against `writes.max_pending` and
/// `writes.max_pending_bytes`: reaching a bound gives a clear error before the acknowledgement, never a loss after it
/// (P8).
final class Admission: Sendable {
    private struct Ledger {
        var maxPending: Int
        var maxPendingBytes: Int
        var committed = WriteCounts()
        var uncommittedWrites = 0
        var uncommittedBytes = 0
    }

    private let ledger: Mutex<Ledger>

    init(maxPending: Int, maxPendingBytes: Int) {
        ledger = Mutex(Ledger(maxPending: maxPending, maxPendingBytes: maxPendingBytes))
    }

    /// Takes other bounds; what is beyond them already stays.
    func setLimits(maxPending: Int, maxPendingBytes: Int) {
        ledger.withLock { ($0.maxPending, $0.maxPendingBytes) = (maxPending, maxPendingBytes) }
    }

    /// The books as of the last commit.
    var committed: WriteCounts { ledger.withLock { $0.committed } }

    /// Makes room for one write, which `commit` or `release` takes back; false when there is none.
    func admit(bytes: Int) -> Bool {
        ledger.withLock { ledger in
            // Dead writes are kept with their bodies, and count until an operator acts.
            let writes = Int(ledger.committed.pending + ledger.committed.dead) + ledger.uncommittedWrites
            let stored = Int(ledger.committed.storedBytes) + ledger.uncommittedBytes
            guard writes < ledger.maxPending, stored + bytes <= ledger.maxPendingBytes else { return false }
            ledger.uncommittedWrites += 1
            ledger.uncommittedBytes += bytes
            return true
        }
    }

    /// Takes back the room of writes that were not committed, or not known to be.
    func release(writes: Int, bytes: Int) {
        ledger.withLock { ledger in
            ledger.uncommittedWrites -= writes
            ledger.uncommittedBytes -= bytes
        }
    }

    /// Writes have become part of the committed books.
    func commit(_ counts: WriteCounts, writes: Int, bytes: Int) {
        ledger.withLock { ledger in
            ledger.committed = counts
            ledger.uncommittedWrites -= writes
            ledger.uncommittedBytes -= bytes
        }
    }
}
