import Foundation
import NIOCore
import NIOHTTP1
import ResponseCache
import TestSupport
import Testing

@Suite("Both tiers together, through random operations")
struct DiskModelTests {
    /// What an answer may show.
    private struct Entry {
        var body: String
        var isInvalidated = false
    }

    @Test("P4 a hit is the last reply stored for that key, nothing forgotten comes back, nothing invalidated is fresh")
    func model() async throws {
        var random = SeededGenerator("both tiers")
        var fixture = DiskFixture(try CacheFolder()) { $0.memoryBytes = 12_000 }
        let partitions: [CachePartition] = [.shared, CacheFixture.oneKey, .key(high: 1, low: 3), .key(high: 3, low: 1)]
        let targets = (0..<12).map { "/v1/audiences/\($0 % 3)/contacts/\($0)" + ($0 % 4 == 0 ? "?page=1" : "") }
        var model: [CacheKey: Entry] = [:]
        var (freshHits, loads) = (0, 0)
        for step in 0..<4000 {
            let partition = partitions[Int.random(in: 0..<partitions.count, using: &random)]
            let target = targets[Int.random(in: 0..<targets.count, using: &random)]
            let key = fixture.key(target, partition)
            switch Int.random(in: 0..<100, using: &random) {
            case 0..<35:
                let body = "\(step) " + String(repeating: "y", count: Int.random(in: 0..<900, using: &random))
                try fixture.store(["Cache-Control": "max-age=100000"], body: body, target: target, partition: partition)
                model[key] = Entry(body: body)
            case 35..<80:
                let answer = await fixture.loaded(target: target, partition: partition)
                if case .fresh(let hit) = answer {
                    freshHits += 1
                    let entry = model[key]
                    #expect(hit.wireImage(nowMilliseconds: 0).bodyText == entry?.body, "seed \(random.seed)")
                    #expect(entry?.isInvalidated == false, "seed \(random.seed)")
                } else if let validation = answer.validation {
                    #expect(String(buffer: validation.response.body) == model[key]?.body, "seed \(random.seed)")
                }
            case 80..<86:
                fixture.memory.invalidate(target: target)
                let path = target.prefix { $0 != "?" }
                for key in model.keys.filter({ $0.target.hasPrefix(path + "?") || $0.target == path }) {
                    model[key]?.isInvalidated = true
                }
            case 86..<90:
                fixture.memory.forget(key)
                model[key] = nil
            case 90..<92:
                fixture.memory.forget(partition)
                for key in model.keys where key.partition == partition { model[key] = nil }
            case 92 where step % 5 == 0:
                let audience = "/v1/audiences/\(Int.random(in: 0..<3, using: &random))"
                fixture.memory.purge(path: audience)
                for key in model.keys where key.target.hasPrefix(audience + "/") { model[key] = nil }
            case 93..<97:
                // Written before it is looked for, so that the disk has what memory gives up.
                #expect(await fixture.disk.flush())
            case 97:
                loads += Int(fixture.memory.counters.restored)
                fixture = await fixture.restarted(downSeconds: 1)
            case 98 where step % 3 == 0:
                #expect(await fixture.disk.flush())
                loads += Int(fixture.memory.counters.restored)
                let crashed = try fixture.afterCrash()
                await fixture.disk.close()
                fixture = crashed
                for key in model.keys { model[key]?.isInvalidated = true }
            default: break
            }
        }
        #expect(freshHits > 200 && loads > 50)
        await fixture.disk.close()
    }

    @Test("P4 what is forgotten while it is being looked up on disk does not come back")
    func races() async throws {
        let fixture = DiskFixture(try CacheFolder()) { $0.memoryBytes = 12_000 }
        let other = String(repeating: "z", count: 900)
        for round in 0..<60 {
            let target = "/v1/audiences/a/contacts/\(round)"
            let key = fixture.key(target)
            try fixture.store([:], body: "\(round)", target: target)
            #expect(await fixture.disk.flush())
            // Out of memory, so that it has to be looked up; the hand may have to come by twice.
            for number in 0..<60 { try fixture.store([:], body: other, target: "/v1/audiences/\(number)") }
            #expect(fixture.answer(target: target).word == "uri-miss")
            async let first = fixture.disk.load(key)
            async let second = fixture.disk.load(key)
            switch round % 4 {
            case 0: fixture.memory.forget(CacheFixture.oneKey)
            case 1: fixture.memory.forget(key)
            // A delivery is forgotten that the reply lacks.
            case 2:
                fixture.memory.forget(
                    CacheFixture.oneKey,
                    path: target,
                    deliveredUpTo: fixture.clock.nowMilliseconds
                )
            default: fixture.memory.invalidate(target: target)
            }
            _ = await (first, second)
            let word = await fixture.word(target: target)
            #expect(word == "uri-miss" || round % 4 == 3 && word == "validate, stale")
        }
        await fixture.disk.close()
    }
}
