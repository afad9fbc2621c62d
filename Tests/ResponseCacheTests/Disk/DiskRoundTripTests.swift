import DexatelAPI
import Foundation
import NIOHTTP1
import ResponseCache
import TestSupport
import Testing

@Suite("What comes back from disk")
struct DiskRoundTripTests {
    @Test("a reply comes back after a restart as it was: body, fields, validators, status")
    func whole() async throws {
        let first = DiskFixture(try CacheFolder())
        let headers = HTTPHeaders([
            ("ETag", "\"v1\""), ("Last-Modified", "Wed, 31 Dec 2025 23:00:00 GMT"),
            ("Content-Type", "application/json"),
            ("X-Twice", "one"), ("X-Twice", "two: three"), ("X-Empty", ""), ("Cache-Status", "upstream; hit"),
            ("Date", CacheFixture.date), ("Cache-Control", "max-age=100"),
        ])
        let stored = try first.store(headers, body: "{\"data\":{}}")
        try first.store(["Cache-Control": "max-age=50"], status: 404, body: "", target: "/v1/audiences/none")
        let second = await first.restarted()
        let hit = try #require(await second.loaded().hit)
        #expect(hit.response !== stored)
        #expect(hit.response.fields == stored.fields)
        #expect(hit.response.body == stored.body)
        #expect(hit.response.entityTagText == "\"v1\"")
        #expect(hit.response.lastModifiedUnixSeconds == stored.lastModifiedUnixSeconds)
        #expect(hit.response.dateUnixSeconds == stored.dateUnixSeconds)
        let now = second.clock.nowMilliseconds
        #expect(
            hit.wireImage(nowMilliseconds: now).text
                == CacheHit(stored, for: CacheFixture.request()).wireImage(nowMilliseconds: 0).text
        )
        #expect(await second.loaded(target: "/v1/audiences/none").hit?.status == 404)
        await second.disk.close()
    }

    @Test("a reply comes back with the moment at which it was asked for, so that nobody takes it for older or newer")
    func requested() async throws {
        let first = DiskFixture(try CacheFolder())
        let stored = try first.store(["Cache-Control": "max-age=1000"])
        first.clock.advance(seconds: 5)
        let age = first.clock.nowMilliseconds - stored.requestedMilliseconds
        let second = await first.restarted(downSeconds: 7)
        let hit = try #require(await second.loaded().hit)
        #expect(second.clock.nowMilliseconds - hit.response.requestedMilliseconds == age + 7_000)
        await second.disk.close()
    }

    @Test("what was delivered comes back after a stop in good order, and not after a crash")
    func delivered() async throws {
        let first = DiskFixture(try CacheFolder())
        let contact = ContactReference(audience: 1, contact: 2)
        let put = PendingChange(
            sequence: 7,
            effect: .update([.init(name: "first_name", value: Array("\"Ada\"".utf8))]),
            isDelivered: true
        )
        var record = DeliveredRecord()
        for change in [put, PendingChange(sequence: 8, effect: .delete, isDelivered: true)] {
            record.entries.append(
                .init(
                    partition: CacheFixture.oneKey,
                    contact: contact,
                    change: change,
                    atMilliseconds: first.clock.nowMilliseconds
                )
            )
        }
        record.horizons = [.init(partition: .shared, audience: 3, atMilliseconds: first.clock.nowMilliseconds)]
        record.commonHorizonMilliseconds = first.clock.nowMilliseconds - 1_000
        await first.disk.close(keeping: record)
        first.clock.restart(downSeconds: 9)
        let second = DiskFixture(first.folder, first.clock)
        let found = try #require(second.disk.delivered)
        #expect(found.entries.map(\.change) == record.entries.map(\.change))
        #expect(found.entries.allSatisfy { $0.contact == contact && $0.partition == CacheFixture.oneKey })
        #expect(found.entries.allSatisfy { second.clock.nowMilliseconds - $0.atMilliseconds == 9_000 })
        #expect(found.horizons.map(\.audience) == [3])
        #expect(found.commonHorizonMilliseconds == second.clock.nowMilliseconds - 10_000)
        let crashed = try second.afterCrash()
        #expect(crashed.disk.delivered == nil)
        await second.disk.close()
        await crashed.disk.close()
    }

    @Test("§4 another upstream's replies are not used, over restarts and when it is replaced meanwhile")
    func otherOrigin() async throws {
        let (one, two) = ("https://api.example", "https://other.example")
        var fixture = DiskFixture(try CacheFolder())
        try fixture.store(body: "of one")
        fixture = await fixture.restarted(origin: two)
        #expect(await fixture.word() == "uri-miss" && fixture.disk.counters.setAside == 0)
        try fixture.store(body: "of two")
        fixture = await fixture.restarted(origin: two)
        #expect(await fixture.word() == "fresh")
        // Back to the first, while it runs.
        let token = fixture.memory.fetchToken(fixture.key())
        fixture.memory.beginAnew(with: one)
        #expect(throws: StoreRefusal.superseded) { try fixture.store(token: token) }
        #expect(await fixture.word() == "uri-miss")
        try fixture.store(body: "of one again")
        #expect(await fixture.disk.flush())
        let crashed = try fixture.afterCrash()
        #expect(await crashed.word() == "validate, stale")
        await crashed.disk.close()
        fixture = await fixture.restarted(origin: one)
        #expect(await fixture.word() == "fresh")
        fixture.memory.beginAnew(with: two)
        fixture = await fixture.restarted(origin: one)
        #expect(await fixture.word() == "uri-miss")
        await fixture.disk.close()
    }

    @Test("P5 a reply that lacks a delivery which nobody remembers is gone from disk, and one that holds it stays")
    func outdated() async throws {
        let contacts = (1...2).map { ContactReference(audience: 1, contact: UInt128($0)) }
        let first = DiskFixture(try CacheFolder())
        for contact in contacts { try first.store([:], target: contact.path) }
        let second = await first.restarted()
        let at = second.clock.nowMilliseconds
        // Into one of them the delivery is worked.
        #expect(await second.word(target: contacts[0].path) == "fresh")
        second.memory.update(second.key(contacts[0].path), deliveredUpTo: at) { $0.holding(deliveriesUpTo: at) }
        for contact in contacts {
            second.memory.forget(CacheFixture.oneKey, path: contact.path, deliveredUpTo: at)
        }
        #expect(await second.word(target: contacts[0].path) == "fresh")
        #expect(await second.word(target: contacts[1].path) == "uri-miss")
        let third = await second.restarted()
        #expect(await third.word(target: contacts[0].path) == "fresh")
        #expect(await third.word(target: contacts[1].path) == "uri-miss")
        await third.disk.close()
    }

    @Test("P5 what lacks a delivery for which there was no room with the file is not read from disk again")
    func noRoom() async throws {
        let contact = ContactReference(audience: 1, contact: 2)
        let first = DiskFixture(try CacheFolder(), maxBytes: 1 << 20)
        try first.store([:], target: contact.path)
        var record = DeliveredRecord()
        record.entries = [
            .init(
                partition: CacheFixture.oneKey,
                contact: contact,
                change: PendingChange(
                    sequence: 1,
                    effect: .update([.init(name: "x", value: Array(repeating: UInt8(ascii: "1"), count: 1 << 20))]),
                    isDelivered: true
                ),
                atMilliseconds: first.clock.nowMilliseconds
            )
        ]
        await first.disk.close(keeping: record)
        let second = DiskFixture(first.folder, first.clock)
        #expect(second.disk.delivered?.entries.isEmpty == true && second.disk.delivered?.horizons.count == 1)
        #expect(await second.word(target: contact.path) == "uri-miss")
        await second.disk.close()
    }

    @Test("a reply without Date comes back with the moment at which it came")
    func withoutDate() async throws {
        let first = DiskFixture(try CacheFolder())
        try first.store(["Cache-Control": "max-age=1000"])
        let second = await first.restarted(downSeconds: 500)
        let hit = try #require(await second.loaded().hit)
        #expect(hit.response.fields["Date"] == [CacheFixture.date])
        #expect(hit.response.dateUnixSeconds == CacheFixture.wallSeconds)
        await second.disk.close()
    }

    private static let statedTerms = "max-age=100, stale-while-revalidate=30, stale-if-error=1000"

    @Test("§4.2.3 its age goes on over a restart, and what is left of its life is exact")
    func age() async throws {
        let first = DiskFixture(try CacheFolder())
        try first.store(["Cache-Control": Self.statedTerms])
        try first.store(
            ["Cache-Control": Self.statedTerms, "Age": "10"],
            target: "/v1/audiences/older"
        )
        first.clock.advance(seconds: 20)
        let second = await first.restarted(downSeconds: 69)
        let now = second.clock.nowMilliseconds
        #expect(await second.word() == "fresh")
        #expect(await second.loaded().hit?.response.freshness.ageSeconds(now) == 89)
        #expect(await second.loaded(target: "/v1/audiences/older").hit?.response.freshness.ageSeconds(now) == 99)
        second.clock.advance(seconds: 1)
        #expect(await second.word(target: "/v1/audiences/older") == "stale, revalidate")
        second.clock.advance(seconds: 9)
        #expect(await second.word() == "fresh")
        second.clock.advance(seconds: 1)
        #expect(await second.word() == "stale, revalidate")
        second.clock.advance(seconds: 1000)
        #expect(await second.wordOnError() == "stale")
        second.clock.advance(seconds: 1)
        #expect(await second.wordOnError() == "504")
        await second.disk.close()
    }

    @Test("every permission and prohibition comes back")
    func terms() async throws {
        let first = DiskFixture(try CacheFolder())
        let says = [
            "max-age=10", "max-age=10, stale-while-revalidate=5", "max-age=10, stale-if-error=50",
            "max-age=10, must-revalidate", "max-age=10, no-cache", "max-age=10, stale-if-error=0", "max-age=0",
        ]
        for (number, value) in says.enumerated() {
            try first.store(["Cache-Control": value, "ETag": "\"1\""], target: "/v1/audiences/\(number)")
        }
        let before = says.indices.map { first.answer(target: "/v1/audiences/\($0)").validation ?? nil }
        let second = await first.restarted(downSeconds: 12)
        for number in says.indices {
            let target = "/v1/audiences/\(number)"
            _ = await second.loaded(target: target)
            let key = first.key(target)
            let kept = first.memory.lookup(key, CacheFixture.request(), nowMilliseconds: 12_000)
            #expect(second.answer(target: target).word == kept.word, "\(says[number])")
            for isDisconnected in [false, true] {
                let word = await second.wordOnError(target: target, isDisconnected: isDisconnected)
                #expect(word == errorWord(first, target, isDisconnected), "\(says[number])")
            }
        }
        #expect(before.count == says.count)
        await second.disk.close()
    }

    /// What the memory tier that never was restarted would do.
    private func errorWord(_ fixture: DiskFixture, _ target: String, _ isDisconnected: Bool) -> String {
        let key = fixture.key(target)
        let request = CacheFixture.request()
        guard case .validate(let validation) = fixture.memory.lookup(key, request, nowMilliseconds: 12_000) else {
            return "no validation"
        }
        let hit = fixture.memory.staleIfError(
            validation,
            key,
            request,
            isDisconnected: isDisconnected,
            nowMilliseconds: 12_000
        )
        return hit == nil ? "504" : "stale"
    }

    @Test("§4.1 variants come back, each for its own requests")
    func variants() async throws {
        let first = DiskFixture(try CacheFolder())
        for accept in ["a", "b, c;q=1", ""] {
            try first.store(["Vary": "Accept, X-Other"], body: "for \(accept)", asked: ["Accept": accept])
        }
        try first.store(["Vary": "Accept"], body: "none")
        let second = await first.restarted()
        for accept in ["a", "b, c;q=1", ""] {
            let hit = await second.loaded(["Accept": accept]).hit
            #expect(hit?.wireImage(nowMilliseconds: 5000).bodyText == "for \(accept)")
        }
        #expect(await second.loaded().hit?.wireImage(nowMilliseconds: 5000).bodyText == "none")
        #expect(await second.word(["Accept": "z"]) == "vary-miss")
        await second.disk.close()
    }

    @Test(
        "§4.1 on disk too a new reply takes the place of what its request would have chosen, and variants are bounded"
    )
    func replacement() async throws {
        let first = DiskFixture(try CacheFolder()) { $0.maxVariantsPerTarget = 3 }
        for number in 0..<20 { try first.store(["Vary": "Accept"], body: "\(number)", asked: ["Accept": "\(number)"]) }
        #expect(await first.disk.flush())
        #expect(first.disk.counters.replies == 3)
        try first.store(["Vary": "Accept"], body: "new", asked: ["Accept": "19"])
        #expect(await first.disk.flush())
        #expect(first.disk.counters.replies == 3)
        try first.store([:], body: "for all", asked: ["Accept": "18"])
        #expect(await first.disk.flush())
        #expect(first.disk.counters.replies == 3)
        let second = await first.restarted()
        func body(_ accept: String) async -> String? {
            await second.loaded(["Accept": accept]).hit?.wireImage(nowMilliseconds: 5000).bodyText
        }
        #expect(await body("18") == "for all")
        await second.disk.close()
    }

    @Test("bytes above 0x7F, and members of other caches, come back as they were")
    func bytes() async throws {
        let first = DiskFixture(try CacheFolder())
        let fields: HTTPHeaders = ["Cache-Status": "other; hit", "X-Name": "\u{E9}\u{FF}", "X-Empty": ""]
        let stored = try first.store(fields)
        let second = await first.restarted()
        let hit = try #require(await second.loaded().hit)
        #expect(hit.response.fields.map(\.value) == stored.fields.map(\.value))
        #expect(hit.response.fields.map(\.name) == stored.fields.map(\.name))
        #expect(hit.response.fields["X-Name"] == ["\u{E9}\u{FF}"])
        await second.disk.close()
    }

    @Test("what memory had to give up is found on disk again, and only there")
    func evicted() async throws {
        let fixture = DiskFixture(try CacheFolder()) { $0.memoryBytes = 30_000 }
        for number in 0..<200 { try fixture.store([:], body: "\(number)", target: "/v1/audiences/\(number)") }
        #expect(await fixture.disk.flush())
        #expect(fixture.memory.counters.evicted > 0)
        for number in 0..<200 {
            let hit = await fixture.loaded(target: "/v1/audiences/\(number)").hit
            #expect(hit?.wireImage(nowMilliseconds: 0).bodyText == "\(number)")
        }
        #expect(await fixture.word(target: "/v1/audiences/never") == "uri-miss")
        #expect(fixture.memory.counters.restored > 0)
        #expect(fixture.disk.counters.found == fixture.disk.counters.lookups - 1)
        await fixture.disk.close()
    }

    @Test("§5.2.1.7 only-if-cached is answered from disk too")
    func onlyIfCached() async throws {
        let first = DiskFixture(try CacheFolder())
        try first.store()
        let second = await first.restarted()
        let asked: HTTPHeaders = ["Cache-Control": "only-if-cached"]
        #expect(await second.word(asked) == "fresh")
        #expect(await second.word(asked, target: "/v1/audiences/none") == "504")
        await second.disk.close()
    }

    @Test("a confirmed reply is on disk with its new life")
    func confirmed() async throws {
        let first = DiskFixture(try CacheFolder())
        try first.store(["ETag": "\"a\"", "Cache-Control": "max-age=10"], body: "kept")
        first.clock.advance(seconds: 100)
        let validation = try #require(first.answer().validation)
        let head = CacheFixture.head(304, ["ETag": "\"a\"", "Cache-Control": "max-age=500", "X-New": "1"], at: 100)
        #expect(
            first.memory.freshen(validation, by: head, to: CacheFixture.request(), key: first.key())?.refusal == nil
        )
        let second = await first.restarted(downSeconds: 499)
        let hit = try #require(await second.loaded().hit)
        #expect(await second.word() == "fresh")
        #expect(hit.response.fields["X-New"] == ["1"])
        #expect(hit.wireImage(nowMilliseconds: 5000).bodyText == "kept")
        await second.disk.close()
    }

    @Test("a reply that must not stay stored after its confirmation is gone from disk as well")
    func confirmedAway() async throws {
        let first = DiskFixture(try CacheFolder())
        try first.store(["ETag": "\"a\"", "Cache-Control": "max-age=10"])
        first.clock.advance(seconds: 100)
        let validation = try #require(first.answer().validation)
        let head = CacheFixture.head(304, ["ETag": "\"a\"", "Cache-Control": "no-store"], at: 100)
        _ = first.memory.freshen(validation, by: head, to: CacheFixture.request(), key: first.key())
        let second = await first.restarted()
        #expect(await second.word() == "uri-miss")
        await second.disk.close()
    }

    @Test("the file is its owner's alone")
    func mode() async throws {
        let fixture = DiskFixture(try CacheFolder())
        try fixture.store()
        #expect(await fixture.disk.flush())
        #expect(fixture.folder.names.count == 3)
        for name in fixture.folder.names {
            let attributes = try FileManager.default.attributesOfItem(atPath: fixture.folder.path + "/" + name)
            #expect(attributes[.posixPermissions] as? Int == 0o600, "\(name)")
        }
        await fixture.disk.close()
    }
}
