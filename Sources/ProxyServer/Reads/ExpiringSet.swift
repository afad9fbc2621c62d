/// A bounded set whose members leave it at a time of their own.
///
/// Times are monotonic milliseconds and come from the caller.
struct ExpiringSet<Member: Hashable & Sendable>: Sendable {
    /// The greatest number of members (P8).
    let capacity: Int
    private var ends: [Member: Int64] = [:]

    /// Makes an empty set for at least two members.
    init(capacity: Int) {
        precondition(capacity >= 2)
        self.capacity = capacity
    }

    /// The number of members, with those that have left and were not looked at since.
    var count: Int { ends.count }

    func contains(_ member: Member, nowMilliseconds: Int64) -> Bool {
        ends[member].map { nowMilliseconds < $0 } ?? false
    }

    /// Adds a member; one that is there already stays until the later of both times.
    mutating func insert(_ member: Member, untilMilliseconds end: Int64, nowMilliseconds: Int64) {
        guard end > nowMilliseconds else { return }
        if let known = ends[member] {
            ends[member] = max(known, end)
            return
        }
        if ends.count >= capacity { makeRoom(nowMilliseconds) }
        ends[member] = end
    }

    mutating func remove(_ member: Member) { ends[member] = nil }

    /// Drops what has left, and where that is less than half the set, also those that would leave next: half at a time, so
    /// that a full set costs no more for each member than another.
    private mutating func makeRoom(_ nowMilliseconds: Int64) {
        ends = ends.filter { nowMilliseconds < $0.value }
        let kept = capacity / 2
        guard ends.count > kept else { return }
        for (member, _) in ends.sorted(by: { $0.value < $1.value }).prefix(ends.count - kept) { ends[member] = nil }
    }
}
