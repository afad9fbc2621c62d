import DexatelAPI
import Synchronization

/// How many dead writes each contact has by each key, for a header on later replies (design §3.5).
///
/// Sixteen bytes for each pair that has any: there are no more of them than dead writes, which `writes.max_dead` and
/// `writes.max_pending` bound.
final class DeadCounts: Sendable {
    private let counts = Mutex<[Int: UInt32]>([:])

    /// The pair as a hash of 64 bits, seeded anew in each process: two pairs that meet would show each other's number.
    private static func slot(_ contact: ContactReference, _ keyRow: Int64) -> Int {
        var hasher = Hasher()
        hasher.combine(contact)
        hasher.combine(keyRow)
        return hasher.finalize()
    }

    func load(_ dead: [OpenedOutbox.DeadCount]) {
        var loaded: [Int: UInt32] = [:]
        loaded.reserveCapacity(dead.count)
        for entry in dead {
            loaded[Self.slot(entry.contact, entry.keyRow), default: 0] += UInt32(clamping: entry.count)
        }
        counts.withLock { [loaded] in $0 = loaded }
    }

    func add(_ change: Int, _ contact: ContactReference, _ keyRow: Int64) {
        let slot = Self.slot(contact, keyRow)
        counts.withLock { counts in
            let count = Int(counts[slot] ?? 0) + change
            counts[slot] = count > 0 ? UInt32(clamping: count) : nil
        }
    }

    func count(_ contact: ContactReference, keyRows: [Int64]) -> Int {
        counts.withLock { counts in
            guard !counts.isEmpty else { return 0 }
            return keyRows.reduce(0) { $0 + Int(counts[Self.slot(contact, $1)] ?? 0) }
        }
    }
}
