import Foundation
import TestSupport
import Testing

@testable import ResponseCache

@Suite("Marks and removals")
struct DiskPartsTests {
    @Test("marks over their bound put all older replies in doubt, and no newer one; the bound holds")
    func floor() {
        var marks = InvalidationMarks()
        var sequence: UInt64 = 1
        for number in 0..<(InvalidationMarks.maxPaths + 100) {
            sequence += 1
            marks.invalidate(PathHashes("/a/\(number)"), at: sequence)
        }
        #expect(marks.count <= InvalidationMarks.maxPaths)
        #expect(marks.floor > 0)
        // Every one of them is still in doubt, by its mark or by the floor.
        for number in stride(from: 0, to: InvalidationMarks.maxPaths + 100, by: 997) {
            #expect(marks.isInDoubt(PathHashes("/a/\(number)"), storedAt: 1))
            #expect(!marks.isInDoubt(PathHashes("/a/\(number)"), storedAt: sequence + 1))
        }
        #expect(!marks.isInDoubt(PathHashes("/b"), storedAt: sequence))
    }

    @Test("marks come back from their bytes, and anything else is none")
    func encoded() throws {
        var marks = InvalidationMarks()
        marks.doubtEverything(before: 7)
        marks.invalidate(PathHashes("/a/b"), at: 9)
        marks.doubt(PathHashes("/c"), at: 10)
        let read = try #require(InvalidationMarks(encoded: marks.encoded))
        #expect(read.floor == 6 && read.latest == 10 && read.count == marks.count)
        for path in ["/", "/a", "/a/b", "/a/b/c", "/a/c", "/c", "/c/d"] {
            for sequence: UInt64 in 6...11 {
                let isInDoubt = marks.isInDoubt(PathHashes(path), storedAt: sequence)
                #expect(read.isInDoubt(PathHashes(path), storedAt: sequence) == isInDoubt, "\(path) \(sequence)")
            }
        }
        #expect(InvalidationMarks(encoded: marks.encoded.dropLast()) == nil)
        #expect(InvalidationMarks(encoded: Data()) == nil)
        #expect(InvalidationMarks(encoded: Data(count: 8 + 24 * (InvalidationMarks.maxPaths + 1))) == nil)
    }

    @Test("marks and the memory tier agree on which paths an invalidation concerns")
    func agreement() {
        var random = SeededGenerator("agreement")
        func path() -> String {
            let depth = Int.random(in: 0...4, using: &random)
            let top = Bool.random(using: &random) ? "/v1/audiences" : ""
            return depth == 0
                ? "/"
                : top + (0..<depth).map { _ in "/" + ["a", "ab", "b", "a-"].randomElement(using: &random)! }.joined()
        }
        for _ in 0..<3000 {
            let (changed, stored) = (path(), path())
            var marks = InvalidationMarks()
            marks.invalidate(PathHashes(changed), at: 5)
            let isRelated = InvalidationPath.concerns(changed, stored)
            #expect(marks.isInDoubt(PathHashes(stored), storedAt: 4) == isRelated, "\(changed) \(stored)")
            #expect(!marks.isInDoubt(PathHashes(stored), storedAt: 5))
        }
    }

    @Test("too many removals of one kind become fewer of a coarser kind, and none is lost")
    func coarser() {
        func key(_ number: Int, _ partition: CachePartition = .key(high: 1, low: 1)) -> CacheKey {
            CacheKey(partition: partition, target: "/v1/\(number)")
        }
        var keys = PendingRemovals()
        for number in 0...PendingRemovals.maxKeys { keys.forget(key(number), at: UInt64(number + 10)) }
        #expect(keys.keys.isEmpty && keys.partitions.count == 1)
        for number in 0...PendingRemovals.maxKeys { #expect(keys.covers(key(number), storedAt: 5, heldUpTo: 0)) }
        #expect(!keys.covers(key(1, .shared), storedAt: 5, heldUpTo: 0))
        #expect(!keys.covers(key(1), storedAt: 1_000_000, heldUpTo: 0))
        var partitions = PendingRemovals()
        for number in 0...PendingRemovals.maxPartitions {
            partitions.forget(.key(high: 0, low: UInt64(number)), at: UInt64(number + 10))
        }
        #expect(partitions.partitions.isEmpty)
        #expect(partitions.covers(key(1, .key(high: 0, low: 0)), storedAt: 1000, heldUpTo: 0))
        var paths = PendingRemovals()
        for number in 0..<PendingRemovals.maxPaths { paths.purge("/v1/\(number)", at: UInt64(number + 10)) }
        #expect(paths.covers(key(3), storedAt: 5, heldUpTo: 0) && !paths.covers(key(1000), storedAt: 5, heldUpTo: 0))
        paths.purge("/v1/x", at: 500)
        #expect(
            paths.paths.isEmpty && paths.covers(key(1000), storedAt: 499, heldUpTo: 0)
                && !paths.covers(key(1), storedAt: 500, heldUpTo: 0)
        )
    }

    @Test("replies that lack a forgotten delivery are to go, and those that hold it are not")
    func outdated() {
        func key(_ number: Int) -> CacheKey { CacheKey(partition: .key(high: 1, low: 1), target: "/v1/\(number)") }
        var removals = PendingRemovals()
        removals.forget(key(0), deliveredUpTo: 70, at: 5)
        removals.forget(key(0), deliveredUpTo: 50, at: 6)
        #expect(
            removals.covers(key(0), storedAt: 5, heldUpTo: 70) && !removals.covers(key(0), storedAt: 5, heldUpTo: 71)
        )
        #expect(
            !removals.covers(key(0), storedAt: 6, heldUpTo: 0) && !removals.covers(key(1), storedAt: 5, heldUpTo: 0)
        )
        #expect(!removals.isEmpty && !removals.isUrgent)
        for number in 0...PendingRemovals.maxOutdated {
            removals.forget(key(number), deliveredUpTo: 70, at: UInt64(number + 10))
        }
        #expect(removals.outdated.isEmpty && removals.covers(key(0), storedAt: 5, heldUpTo: 100))
    }

    @Test("removals that are taken back keep the later of two numbers")
    func takenBack() {
        let key = CacheKey(partition: .shared, target: "/v1/a")
        var waiting = PendingRemovals()
        waiting.forget(key, at: 9)
        var failed = PendingRemovals()
        failed.forget(key, at: 3)
        failed.forget(.key(high: 1, low: 1), at: 4)
        waiting.add(failed)
        #expect(waiting.covers(key, storedAt: 8, heldUpTo: 0))
        #expect(waiting.covers(CacheKey(partition: .key(high: 1, low: 1), target: "/x"), storedAt: 3, heldUpTo: 0))
    }

    @Test("the disk's clock runs on over restarts, whatever the wall clock does meanwhile")
    func time() {
        let first = DiskTime(saved: nil, wallMilliseconds: 1_000_000, monotonicMilliseconds: 50)
        #expect(first.disk(monotonicMilliseconds: 50) == 1_000_000)
        #expect(first.monotonic(diskMilliseconds: first.disk(monotonicMilliseconds: 77)) == 77)
        let saved = DiskTime.Saved(diskMilliseconds: 5_000, wallMilliseconds: 1_000_000)
        let later = DiskTime(saved: saved, wallMilliseconds: 1_000_700, monotonicMilliseconds: 3)
        #expect(later.disk(monotonicMilliseconds: 3) == 5_700 && !later.wasSetBack)
        let back = DiskTime(saved: saved, wallMilliseconds: 999_999, monotonicMilliseconds: 3)
        #expect(back.disk(monotonicMilliseconds: 3) == 5_000 && back.wasSetBack)
    }

    @Test(
        "what a request's fields were comes back from text",
        arguments: [["a": "1"], ["b": ""], ["c": nil], ["d": "x:y"]]
    )
    func vary(fields: [String: String?]) {
        let key = VaryKey(fields: fields.map { ($0.key, $0.value) })
        #expect(VaryKey(text: key.text) == key)
    }
}
