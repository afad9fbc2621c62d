import Synchronization
import TestSupport

/// Counts bytes on one side for the other to see.
final class ByteCount: Sendable {
    private let count = Atomic<Int>(0)

    var value: Int { count.load(ordering: .sequentiallyConsistent) }

    func add(_ bytes: Int) { count.add(bytes, ordering: .sequentiallyConsistent) }

    /// Returns when the count has stopped growing for a good while, or has come to `limit`.
    ///
    /// A machine that stands still may make this return early, which lets a test pass that should fail, but never the
    /// other way round.
    func settled(limit: Int) async throws {
        var last = -1
        var quietLooks = 0
        try await eventually("the count to settle") {
            let now = value
            quietLooks = now == last ? quietLooks + 1 : 0
            last = now
            return now >= limit || quietLooks >= 100 && now > 0
        }
    }
}

/// Something that is closed until it is opened.
final class Gate: Sendable {
    private let isOpen = Atomic<Bool>(false)
    private let arrivals = Atomic<Int>(0)

    /// How many have come to it.
    var arrived: Int { arrivals.load(ordering: .sequentiallyConsistent) }

    func open() { isOpen.store(true, ordering: .sequentiallyConsistent) }

    func passed() async throws {
        arrivals.add(1, ordering: .sequentiallyConsistent)
        try await eventually("the gate to open") { isOpen.load(ordering: .sequentiallyConsistent) }
    }
}
