import Foundation
import NIOHTTP1
import ResponseCache
import TestSupport
import Testing

@Suite("What was invalidated, forgotten or purged stays so on disk (P4)")
struct DiskDoubtTests {
    private static let targets = [
        "/v1/audiences", "/v1/audiences/a", "/v1/audiences/a?x=1", "/v1/audiences/a/contacts",
        "/v1/audiences/a/contacts?page=2", "/v1/audiences/a/contacts/c", "/v1/audiences/a/contacts/d",
        "/v1/audiences/b", "/v1/audiences/b/contacts/c",
    ]

    private func filled(
        _ folder: CacheFolder,
        _ clock: TestClock = TestClock(),
        shards: Int = 1
    ) async throws -> DiskFixture {
        let fixture = DiskFixture(folder, clock, shards: shards)
        for target in Self.targets { try fixture.store(["ETag": "\"1\""], target: target) }
        #expect(await fixture.disk.flush())
        return fixture
    }

    private static func isRelated(_ target: String) -> Bool {
        !["/v1/audiences", "/v1/audiences/a/contacts/d", "/v1/audiences/b", "/v1/audiences/b/contacts/c"].contains(
            target
        )
    }

    @Test(
        "an invalidation holds over a restart: for the path, those below and its audience, and for nothing else",
        arguments: [1, 3]
    )
    func invalidated(shards: Int) async throws {
        let first = try await filled(try CacheFolder(), shards: shards)
        first.memory.invalidate(target: "/v1/audiences/a/contacts/c?any=1")
        let second = await first.restarted()
        for target in Self.targets {
            let expected = Self.isRelated(target) ? "validate, stale" : "fresh"
            #expect(await second.word(target: target) == expected, "\(target)")
        }
        #expect(await second.wordOnError() == "stale")
        second.memory.invalidate(target: "/v1/audiences/b")
        let third = await second.restarted()
        #expect(await third.word(target: "/v1/audiences/b/contacts/c") == "validate, stale")
        #expect(await third.word(target: "/v1/audiences/a/contacts/d") == "fresh")
        await third.disk.close()
    }

    @Test("what was stored as invalidated, and what HEAD has found changed, comes back so")
    func storedInvalidated() async throws {
        let first = DiskFixture(try CacheFolder())
        let token = first.memory.fetchToken(first.key())
        first.memory.invalidate(target: CacheFixture.target)
        try first.store([:], token: token)
        try first.store(["ETag": "\"1\""], target: "/v1/audiences/x")
        let key = first.key("/v1/audiences/x")
        first.memory.note(
            head: CacheFixture.head(200, ["ETag": "\"2\""]),
            to: CacheFixture.request([:], .HEAD),
            key: key,
            since: first.memory.fetchToken(key)
        )
        let second = await first.restarted()
        #expect(await second.word() == "validate, stale")
        #expect(await second.word(target: "/v1/audiences/x") == "validate, stale")
        await second.disk.close()
    }

    @Test("a reply that was stored after the invalidation is fresh after a restart")
    func storedAfterwards() async throws {
        let first = try await filled(try CacheFolder())
        first.memory.invalidate(target: CacheFixture.target)
        try first.store([:], body: "new")
        let second = await first.restarted()
        #expect(await second.word() == "fresh")
        #expect(await second.loaded().hit?.wireImage(nowMilliseconds: 5000).bodyText == "new")
        await second.disk.close()
    }

    @Test("P4 a refused key loses all it had, over a restart too, and no other key does")
    func forgottenPartition() async throws {
        let first = try await filled(try CacheFolder())
        let other = CachePartition.key(high: 1, low: 3)
        try first.store([:], partition: other)
        try first.store([:], partition: .shared)
        first.memory.forget(CacheFixture.oneKey)
        let second = await first.restarted()
        for target in Self.targets { #expect(await second.word(target: target) == "uri-miss", "\(target)") }
        #expect(await second.word(partition: other) == "fresh")
        #expect(await second.word(partition: .shared) == "fresh")
        try second.store([:], body: "admitted again")
        let third = await second.restarted()
        #expect(await third.word() == "fresh")
        #expect(await third.word(target: "/v1/audiences") == "uri-miss")
        try await eventually("what is out of reach is cleared away") { third.disk.counters.replies == 3 }
        await third.disk.close()
    }

    @Test("P4 a refused target loses its variants for that key, over a restart too")
    func forgottenKey() async throws {
        let first = try await filled(try CacheFolder())
        for accept in ["a", "b"] {
            try first.store(["Vary": "Accept"], asked: ["Accept": accept], target: "/v1/audiences/v")
        }
        try first.store([:], target: "/v1/audiences/v", partition: .shared)
        #expect(await first.disk.flush())
        first.memory.forget(first.key("/v1/audiences/v"))
        let second = await first.restarted()
        #expect(await second.word(["Accept": "a"], target: "/v1/audiences/v") == "uri-miss")
        #expect(await second.word(target: "/v1/audiences/v", partition: .shared) == "fresh")
        #expect(await second.word() == "fresh")
        await second.disk.close()
    }

    @Test("a purge reaches the disk, and what is stored afterwards stays")
    func purged() async throws {
        let first = try await filled(try CacheFolder())
        first.memory.purge(path: "/v1/audiences/a/contacts")
        try first.store([:], body: "new", target: "/v1/audiences/a/contacts/d")
        let second = await first.restarted()
        for target in Self.targets {
            let isGone = target.hasPrefix("/v1/audiences/a/contacts") && target != "/v1/audiences/a/contacts/d"
            #expect(await second.word(target: target) == (isGone ? "uri-miss" : "fresh"), "\(target)")
        }
        second.memory.purge(path: "/")
        let third = await second.restarted()
        for target in Self.targets { #expect(await third.word(target: target) == "uri-miss") }
        try await eventually("all is cleared away") { third.disk.counters.replies == 0 }
        await third.disk.close()
    }

    @Test("what is being removed is not read from disk meanwhile, however late the disk is")
    func notReadMeanwhile() async throws {
        let folder = try CacheFolder()
        let first = try await filled(folder)
        await first.disk.close()
        first.clock.restart(downSeconds: 0)
        // The thread has been asked and need not have done anything yet.
        for _ in 0..<50 {
            let fixture = DiskFixture(folder, first.clock)
            try fixture.store([:], target: "/v1/audiences/w")
            #expect(await fixture.disk.flush())
            fixture.memory.forget(CacheFixture.oneKey)
            #expect(await fixture.word(target: "/v1/audiences/w") == "uri-miss")
            #expect(await fixture.word() == "uri-miss")
            await fixture.disk.close()
        }
    }

    @Test("after a crash nothing is fresh, everything may stand in while the upstream fails, and the forgotten is gone")
    func crash() async throws {
        let first = try await filled(try CacheFolder())
        first.memory.forget(first.key("/v1/audiences/b"))
        #expect(await first.disk.flush())
        // This is in no file yet when the power goes.
        first.memory.invalidate(target: "/v1/audiences/a")
        let second = try first.afterCrash(downSeconds: 5)
        for target in Self.targets where target != "/v1/audiences/b" {
            #expect(await second.word(target: target) == "validate, stale", "\(target)")
            #expect(await second.wordOnError(target: target) == "stale", "\(target)")
        }
        #expect(await second.word(target: "/v1/audiences/b") == "uri-miss")
        // What is confirmed or fetched from then on is as good as ever, after a stop in good order too.
        try second.store([:], body: "new")
        let third = await second.restarted()
        #expect(await third.word() == "fresh")
        #expect(await third.word(target: "/v1/audiences/a") == "validate, stale")
        await third.disk.close()
        await first.disk.close()
    }

    @Test("P4 a refusal is noted only once it is on disk: a crash right after does not bring back what the key had")
    func refusalBeforeCrash() async throws {
        for status in [401, 403] {
            let first = try await filled(try CacheFolder())
            await first.memory.noteRefusal(status == 401 ? .everything : .target, of: first.key("/v1/audiences/b"))
            let second = try first.afterCrash()
            #expect(await second.word(target: "/v1/audiences/b") == "uri-miss")
            #expect(await second.word() == (status == 401 ? "uri-miss" : "validate, stale"))
            await second.disk.close()
            await first.disk.close()
        }
    }

    @Test("a crash right after a start in good order is one, though nothing was written")
    func crashAfterStart() async throws {
        let first = try await filled(try CacheFolder())
        let second = await first.restarted()
        let third = try second.afterCrash()
        #expect(await third.word() == "validate, stale")
        await third.disk.close()
        await second.disk.close()
    }

    @Test(
        "a wall clock that was set forward makes replies older, one that was set back puts them in doubt",
        arguments: [3600, -3600]
    )
    func clockSet(seconds: Int64) async throws {
        let first = try await filled(try CacheFolder())
        await first.disk.close()
        first.clock.setWall(bySeconds: seconds)
        first.clock.restart(downSeconds: 1)
        let second = DiskFixture(first.folder, first.clock)
        #expect(await second.word() == "validate, stale")
        #expect(await second.wordOnError() == "stale")
        // Not for ever: the age goes on.
        second.clock.advance(seconds: 7 * 86_400 + 61)
        #expect(await second.wordOnError() == "504")
        await second.disk.close()
    }

    @Test("a wall clock that is set while the relay runs changes nothing", arguments: [86_400, -86_400])
    func clockSetMeanwhile(seconds: Int64) async throws {
        let first = DiskFixture(try CacheFolder())
        try first.store(["Cache-Control": "max-age=100"])
        #expect(await first.disk.flush())
        first.clock.setWall(bySeconds: seconds)
        first.clock.advance(seconds: 10)
        try first.store(["Cache-Control": "max-age=100"], target: "/v1/audiences/later")
        let second = await first.restarted(downSeconds: 60)
        let now = second.clock.nowMilliseconds
        #expect(await second.loaded().hit?.response.freshness.ageSeconds(now) == 70)
        #expect(await second.loaded(target: "/v1/audiences/later").hit?.response.freshness.ageSeconds(now) == 60)
        #expect(await second.word() == "fresh")
        await second.disk.close()
    }
}
