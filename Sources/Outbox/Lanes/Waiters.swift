import DexatelAPI
import HeapModule

/// The senders that wait for the upstream's own reply, `writes.max_waiting` of them at most.
struct Waiters: Sendable {
    private struct Deadline: Comparable, Sendable {
        var at: RelayTime
        var sequence: Int64

        static func < (left: Self, right: Self) -> Bool { (left.at, left.sequence) < (right.at, right.sequence) }
    }

    /// Deadlines of senders that have had their answers, that may stand in the heap before it is tidied up (P8).
    private static let staleDeadlines = 1_024

    private var all: [Int64: Waiter] = [:]
    private var deadlines = Heap<Deadline>()

    var count: Int { all.count }

    /// When the next wait is up.
    var nextDeadline: RelayTime? { deadlines.min?.at }

    func contains(_ sequence: Int64) -> Bool { all[sequence] != nil }

    /// How many wait for writes with a key.
    func count(ofKey keyRow: Int64) -> Int { all.isEmpty ? 0 : all.values.count { $0.keyRow == keyRow } }

    mutating func add(_ waiter: Waiter) {
        all[waiter.id.sequence] = waiter
        deadlines.insert(Deadline(at: waiter.deadline, sequence: waiter.id.sequence))
        guard deadlines.count > Self.staleDeadlines + 2 * all.count else { return }
        let all = all
        deadlines = Heap(deadlines.unordered.filter { all[$0.sequence] != nil })
    }

    mutating func take(_ sequence: Int64) -> Waiter? { all.removeValue(forKey: sequence) }

    /// Takes those whose waits are to end, in the order of their writes.
    mutating func take(where isMeant: (Waiter) -> Bool) -> [Waiter] {
        guard !all.isEmpty else { return [] }
        let taken = all.values.filter(isMeant).sorted { $0.id.sequence < $1.id.sequence }
        for waiter in taken { all[waiter.id.sequence] = nil }
        return taken
    }

    /// Takes those whose waits are up.
    mutating func expire(_ now: RelayTime) -> [Waiter] {
        var expired: [Waiter] = []
        while let deadline = deadlines.min, deadline.at <= now {
            deadlines.removeMin()
            if let waiter = take(deadline.sequence) { expired.append(waiter) }
        }
        return expired
    }
}
