import Foundation
import NIOHTTP1
import ResponseCache
import TestSupport
import Testing

@Suite("Bounds of the disk tier (P8)")
struct DiskBoundTests {
    @Test("its files stay within reads.disk; what was stored longest ago goes first")
    func files() async throws {
        var random = SeededGenerator("files")
        let maxBytes = 2 << 20
        let fixture = DiskFixture(try CacheFolder(), maxBytes: maxBytes) { $0.memoryBytes = 100_000 }
        var last = 0
        for round in 0..<40 {
            for number in 0..<40 {
                // So that the queue is not what keeps a reply out.
                if number % 4 == 0 { #expect(await fixture.disk.flush()) }
                last += 1
                let length = random.chance(oneIn: 10) ? 14_000 : Int.random(in: 0..<3000, using: &random)
                try fixture.store([:], body: String(repeating: "x", count: length), target: "/v1/audiences/\(last)")
            }
            #expect(await fixture.disk.flush())
            #expect(fixture.folder.bytes <= maxBytes, "round \(round), seed \(random.seed)")
        }
        #expect(fixture.disk.counters.evicted > 0)
        #expect(fixture.disk.counters.bytes <= maxBytes)
        #expect(fixture.disk.counters.replies > 100)
        #expect(await fixture.word(target: "/v1/audiences/1") == "uri-miss")
        let kept = fixture.disk.counters.replies
        #expect(await fixture.word(target: "/v1/audiences/\(last - kept + 10)") == "fresh")
        let second = await fixture.restarted(maxBytes: maxBytes)
        #expect(second.disk.counters.replies == kept)
        #expect(await second.word(target: "/v1/audiences/\(last)") == "fresh")
        await second.disk.close()
    }

    @Test("what is being read stays on disk, though it was stored long ago")
    func inUse() async throws {
        let fixture = DiskFixture(try CacheFolder(), maxBytes: 1 << 20)
        let body = String(repeating: "x", count: 2000)
        func store(_ name: String, _ number: Int) async throws {
            try fixture.store([:], body: body, target: "/v1/audiences/\(name)-\(number)")
            if number % 5 == 0 { #expect(await fixture.disk.flush()) }
        }
        for number in 0..<10 { try await store("used", number) }
        for round in 0..<25 {
            for number in 0..<10 { #expect(fixture.answer(target: "/v1/audiences/used-\(number)").word == "fresh") }
            for number in 0..<40 { try await store("\(round)", number) }
            #expect(await fixture.disk.flush())
        }
        #expect(fixture.disk.counters.evicted > 300)
        let second = await fixture.restarted(maxBytes: 1 << 20)
        for number in 0..<10 { #expect(await second.word(target: "/v1/audiences/used-\(number)") == "fresh") }
        #expect(await second.word(target: "/v1/audiences/0-0") == "uri-miss")
        await second.disk.close()
    }

    @Test("a smaller bound than that of the last run gives the room back", arguments: [120, 150, 180, 240, 300])
    func smaller(count: Int) async throws {
        let first = DiskFixture(try CacheFolder())
        let body = String(repeating: "x", count: 20_000)
        for number in 0..<count {
            try first.store([:], body: body, target: "/v1/audiences/\(number)")
            if number % 10 == 0 { #expect(await first.disk.flush()) }
        }
        let second = await first.restarted(maxBytes: 2 << 20)
        try await eventually("the file has shrunk") { second.folder.bytes <= 2 << 20 }
        #expect(second.disk.counters.replies > 20)
        await second.disk.close()
    }

    @Test("replies that come faster than the disk takes them are not written, and then what is on disk is in doubt")
    func queue() async throws {
        let folder = try CacheFolder()
        let fixture = DiskFixture(folder, maxBytes: 1 << 20, lingerMilliseconds: 60_000)
        let target = "/v1/audiences/x"
        try fixture.store([:], body: "old", target: target)
        #expect(await fixture.disk.flush())
        var mostBytes = 0
        let body = String(repeating: "x", count: 5000)
        for number in 0..<100 {
            try fixture.store([:], body: body, target: "/v1/audiences/\(number)")
            mostBytes = max(mostBytes, fixture.disk.counters.queuedBytes)
        }
        try fixture.store([:], body: body, target: target)
        #expect(fixture.disk.counters.dropped > 50)
        #expect(mostBytes <= 1 << 15)
        // Room or not: these are never lost.
        fixture.memory.forget(fixture.key("/v1/audiences/0"))
        let second = await fixture.restarted(maxBytes: 1 << 20)
        #expect(await second.word(target: "/v1/audiences/0") == "uri-miss")
        #expect(await second.word(target: "/v1/audiences/1") == "fresh")
        #expect(await second.word(target: target) == "validate, stale")
        await second.disk.close()
    }

    @Test("any number of look-ups at once find what is there, and those of one key are one")
    func lookups() async throws {
        let first = DiskFixture(try CacheFolder())
        let targets = (0..<2_000).map { "/v1/audiences/\($0)" }
        for (number, target) in targets.enumerated() {
            // So that the queue is not what keeps a reply out.
            if number % 100 == 0 { #expect(await first.disk.flush()) }
            try first.store([:], target: target)
        }
        let second = await first.restarted()
        let (disk, keys) = (second.disk, targets.map { second.key($0) })
        let lookups = await withTaskGroup(of: DiskCache.Lookup.self) { group in
            for key in keys { group.addTask { await disk.load(key) } }
            return await group.reduce(into: []) { $0.append($1) }
        }
        #expect(lookups.allSatisfy { $0 == .done })
        let before = disk.counters.lookups
        await withTaskGroup(of: Void.self) { group in
            for _ in 0..<2_000 { group.addTask { #expect(await disk.load(keys[0]) == .done) } }
        }
        #expect(disk.counters.lookups - before < 1_000)
        await second.disk.close()
    }

    @Test("a reply that is too long for the tier is not written")
    func tooLong() async throws {
        let fixture = DiskFixture(try CacheFolder(), maxBytes: 1 << 20)
        try fixture.store([:], body: String(repeating: "x", count: 200_000))
        try fixture.store([:], target: "/v1/audiences/short")
        let second = await fixture.restarted()
        #expect(await second.word() == "uri-miss")
        #expect(await second.word(target: "/v1/audiences/short") == "fresh")
        await second.disk.close()
    }

    @Test("look-ups before the start find nothing, and take nobody's place afterwards")
    func beforeTheStart() async throws {
        let folder = try CacheFolder()
        let first = DiskFixture(folder)
        try first.store()
        await first.disk.close()
        let disk = DiskCache(
            path: folder.database,
            origin: "https://api.example",
            maxBytes: 1 << 20,
            clock: first.clock.cacheClock,
            logger: .quiet
        )
        let memory = MemoryCache(first.configuration, journal: disk.journal)
        for _ in 0...DiskCache.maxLookups { #expect(await disk.load(first.key()) == .nothing) }
        disk.start(memory)
        #expect(await disk.load(first.key()) == .done)
        await disk.close()
    }

    @Test("closing twice, and asking after the end, finds nothing and breaks nothing")
    func afterTheEnd() async throws {
        let fixture = DiskFixture(try CacheFolder())
        try fixture.store()
        await fixture.disk.close()
        await fixture.disk.close()
        #expect(await fixture.disk.load(fixture.key()) == .nothing)
        #expect(await fixture.disk.flush() == false)
        fixture.memory.forget(fixture.key())
        try fixture.store()
        #expect(fixture.answer().word == "fresh")
    }
}
