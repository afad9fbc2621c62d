import NIOHTTP1
import TestSupport
import Testing

@testable import ResponseCache

@Suite("What is known of the keys that are on disk")
struct DiskIndexTests {
    @Test("no key that was added is ever overlooked, and few others are taken for one")
    func filter() {
        var random = SeededGenerator("disk index")
        var index = DiskIndex(databaseBytes: 4 << 20)
        let keys = (0..<4_096).map { _ in UInt64.random(in: 0...UInt64.max, using: &random) }
        for key in keys { index.insert(DiskKeyHash(.shared, targetHash: key)) }
        #expect(keys.allSatisfy { index.mayContain(DiskKeyHash(.shared, targetHash: $0)) }, "seed \(random.seed)")
        let wrong = keys.count { index.mayContain(DiskKeyHash(.key(high: 1, low: 2), targetHash: $0)) }
        #expect(wrong < 80, "seed \(random.seed)")
        #expect(!index.isFull)
    }

    @Test("it is full once many more keys were added than the file has room for; the same again count for nothing")
    func full() {
        var index = DiskIndex(databaseBytes: 0)
        for _ in 0..<10_000 { index.insert(DiskKeyHash(.shared, targetHash: 1)) }
        #expect(!index.isFull)
        for key in 0..<10_000 as Range<UInt64> { index.insert(DiskKeyHash(.shared, targetHash: key)) }
        #expect(index.isFull)
    }

    @Test(
        "what is stored is known at once, and after a restart as soon as the file was read; another key is known not to be"
    )
    func overRestart() async throws {
        let first = DiskFixture(try CacheFolder())
        try await eventually("the index of an empty file") { !first.disk.mayHold(first.key("/v1/a/0")) }
        let targets = (0..<5_000).map { "/v1/a/\($0)" }
        for start in stride(from: 0, to: targets.count, by: 200) {
            for target in targets[start..<(start + 200)] { try first.store(["ETag": "\"1\""], target: target) }
            #expect(await first.disk.flush())
        }
        #expect(targets.allSatisfy { first.disk.mayHold(first.key($0)) })
        #expect(first.disk.counters.replies == targets.count && targets.count > DiskStore.indexingRows)
        let second = await first.restarted()
        try await eventually("the index of the file") { !second.disk.mayHold(second.key("/v1/b")) }
        #expect(targets.allSatisfy { second.disk.mayHold(second.key($0)) })
        let other = CachePartition.key(high: 7, low: 7)
        #expect(targets.count { second.disk.mayHold(second.key($0, other)) } < targets.count / 20)
        await second.disk.close()
    }
}
