import Foundation
import NIOHTTP1
import ResponseCache
import TestSupport
import Testing

@Suite("Damaged files and failing disks never reach a client")
struct DiskFailureTests {
    private func closedFolder() async throws -> (CacheFolder, TestClock) {
        let fixture = DiskFixture(try CacheFolder())
        for number in 0..<50 { try fixture.store([:], body: "body-of-\(number).", target: "/v1/audiences/\(number)") }
        await fixture.disk.close()
        return (fixture.folder, fixture.clock)
    }

    private func expectBegunAnew(_ fixture: DiskFixture, setAside: UInt64) async throws {
        #expect(fixture.disk.counters.setAside == setAside)
        #expect(fixture.disk.counters.isAvailable)
        #expect(await fixture.word(target: "/v1/audiences/1") == "uri-miss")
        try fixture.store([:], body: "new")
        let next = await fixture.restarted()
        #expect(await next.word() == "fresh")
        await next.disk.close()
    }

    @Test("a file that is no database is set aside and kept, and a new one begun")
    func noDatabase() async throws {
        let folder = try CacheFolder()
        try Data("this is no database, and long enough to be looked at as one".utf8)
            .write(to: URL(fileURLWithPath: folder.database))
        let fixture = DiskFixture(folder)
        try await expectBegunAnew(fixture, setAside: 1)
        let kept = folder.names.filter { $0.contains(".damaged-") && !$0.hasSuffix("-wal") && !$0.hasSuffix("-shm") }
        #expect(kept.count == 1)
        let content = try Data(contentsOf: URL(fileURLWithPath: folder.path + "/" + (kept.first ?? "")))
        #expect(content.starts(with: Data("this is no".utf8)))
    }

    @Test("another program's database is set aside unchanged")
    func foreign() async throws {
        let (folder, clock) = try await closedFolder()
        try folder.patch { $0.replaceSubrange(68..<72, with: [1, 2, 3, 4]) }
        let before = try Data(contentsOf: URL(fileURLWithPath: folder.database))
        let fixture = DiskFixture(folder, clock)
        try await expectBegunAnew(fixture, setAside: 1)
        let kept = folder.names.filter { $0.contains(".damaged-") && !$0.hasSuffix("-wal") && !$0.hasSuffix("-shm") }
        #expect(kept.count == 1)
        #expect(try Data(contentsOf: URL(fileURLWithPath: folder.path + "/" + (kept.first ?? ""))) == before)
    }

    @Test("another release's cache is begun anew, and not kept")
    func otherVersion() async throws {
        let (folder, clock) = try await closedFolder()
        try folder.patch { $0.replaceSubrange(60..<64, with: [0, 0, 0, 99]) }
        let fixture = DiskFixture(folder, clock)
        try await expectBegunAnew(fixture, setAside: 0)
        #expect(!folder.names.contains { $0.contains("damaged") })
    }

    @Test("only the latest few of the files that were set aside are kept")
    func few() async throws {
        let folder = try CacheFolder()
        let clock = TestClock()
        for number in 0..<5 {
            try Data("no database \(number), but long enough to be taken for one".utf8)
                .write(to: URL(fileURLWithPath: folder.database))
            let fixture = DiskFixture(folder, clock)
            await fixture.disk.close()
            if number % 2 == 0 { clock.advance(seconds: 1) }
        }
        let kept = folder.names.filter { $0.contains(".damaged-") && !$0.hasSuffix("-wal") && !$0.hasSuffix("-shm") }
        #expect(kept.count == 2)
        let texts = kept.map { try? String(contentsOfFile: folder.path + "/" + $0, encoding: .utf8) }
        #expect(texts.allSatisfy { $0?.hasPrefix("no database 3") == true || $0?.hasPrefix("no database 4") == true })
    }

    @Test("whatever bytes of the file are wrong, no reply is served that was not stored like that")
    func flipped() async throws {
        var random = SeededGenerator("flipped")
        let (folder, clock) = try await closedFolder()
        let good = try Data(contentsOf: URL(fileURLWithPath: folder.database))
        var served = 0
        for _ in 0..<60 {
            let broken = try CacheFolder()
            var data = good
            for _ in 0..<Int.random(in: 1...40, using: &random) {
                data[Int.random(in: 0..<data.count, using: &random)] = UInt8.random(in: 0...255, using: &random)
            }
            if random.chance(oneIn: 4) { data = data.prefix(Int.random(in: 1..<data.count, using: &random)) }
            try data.write(to: URL(fileURLWithPath: broken.database))
            let fixture = DiskFixture(broken, clock)
            for number in 0..<50 {
                guard let hit = await fixture.loaded(target: "/v1/audiences/\(number)").hit else { continue }
                served += 1
                #expect(hit.wireImage(nowMilliseconds: 0).bodyText == "body-of-\(number).", "seed \(random.seed)")
            }
            // And it works, or will after its pause.
            try fixture.store([:], body: "new", target: "/v1/audiences/new")
            #expect(fixture.answer(target: "/v1/audiences/new").word == "fresh")
            await fixture.disk.close()
        }
        #expect(served > 0)
    }

    @Test("damage that shows only at a look-up is a miss, and the file is begun anew")
    func damageWhileRunning() async throws {
        let (folder, clock) = try await closedFolder()
        // All but the pages that opening reads.
        try folder.patch { data in
            for offset in data.indices where offset >= 4096 * 8 { data[offset] = 0xA5 }
        }
        let fixture = DiskFixture(folder, clock)
        for number in 0..<50 { _ = await fixture.word(target: "/v1/audiences/\(number)") }
        for number in 0..<50 where await fixture.word(target: "/v1/audiences/\(number)") != "uri-miss" {
            let text = fixture.answer(target: "/v1/audiences/\(number)").hit?.wireImage(nowMilliseconds: 0).bodyText
            #expect(text == "body-of-\(number).")
        }
        try await eventually("it is set aside") { fixture.disk.counters.setAside == 1 }
        try await eventually("it works again") { fixture.disk.counters.isAvailable }
        try fixture.store([:], body: "new")
        #expect(await fixture.disk.flush())
        await fixture.disk.close()
    }

    @Test("a disk that cannot be written turns the tier off, which counts it and comes back by itself")
    func off() async throws {
        let folder = try CacheFolder()
        let missing = folder.path + "/later"
        let fixture = DiskFixture(folder, path: missing + "/cache.sqlite")
        #expect(!fixture.disk.counters.isAvailable)
        #expect(fixture.disk.counters.failures >= 1)
        try fixture.store([:])
        #expect(fixture.answer().word == "fresh")
        #expect(await fixture.word(target: "/v1/audiences/none") == "uri-miss")
        #expect(await fixture.disk.flush() == false)
        #expect(fixture.disk.counters.dropped == 1)
        try FileManager.default.createDirectory(atPath: missing, withIntermediateDirectories: true)
        try await eventually("it is on") { fixture.disk.counters.isAvailable }
        try fixture.store([:], target: "/v1/audiences/later")
        #expect(await fixture.disk.flush())
        #expect(fixture.disk.counters.written == 1)
        await fixture.disk.close()
    }

    @Test(
        "P4 what was refused while the disk was off is gone when it is on again, and what was invalidated is in doubt"
    )
    func refusedWhileOff() async throws {
        let (folder, clock) = try await closedFolder()
        let elsewhere = folder.path + "/elsewhere"
        let fixture = DiskFixture(folder, clock, path: elsewhere + "/cache.sqlite")
        fixture.memory.forget(fixture.key("/v1/audiences/1"))
        fixture.memory.invalidate(target: "/v1/audiences/2")
        try FileManager.default.createDirectory(atPath: elsewhere, withIntermediateDirectories: true)
        try FileManager.default.moveItem(atPath: folder.database, toPath: elsewhere + "/cache.sqlite")
        try await eventually("it is on") { fixture.disk.counters.isAvailable }
        #expect(await fixture.word(target: "/v1/audiences/1") == "uri-miss")
        #expect(await fixture.word(target: "/v1/audiences/2") == "validate, stale")
        #expect(await fixture.disk.flush())
        #expect(await fixture.word(target: "/v1/audiences/1") == "uri-miss")
        #expect(fixture.disk.counters.replies == 49)
        await fixture.disk.close()
    }

    @Test("P4 a file that could not be told what to forget is deleted at the end")
    func deletedAtTheEnd() async throws {
        let (folder, clock) = try await closedFolder()
        // A folder where the log belongs: SQLite can open the file, and not write it.
        try FileManager.default.createDirectory(atPath: folder.database + "-wal", withIntermediateDirectories: true)
        let fixture = DiskFixture(folder, clock, retryMilliseconds: 60_000)
        #expect(!fixture.disk.counters.isAvailable)
        fixture.memory.forget(CacheFixture.oneKey)
        await fixture.disk.close()
        #expect(!FileManager.default.fileExists(atPath: folder.database))
    }
}
