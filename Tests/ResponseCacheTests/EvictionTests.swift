import Foundation
import NIOCore
import NIOHTTP1
import ResponseCache
import TestSupport
import Testing

@Suite("Eviction and bounds of the memory tier")
struct EvictionTests {
    /// Frequencies like 1/rank, to the power of the exponent, over so many objects.
    private struct Zipf {
        private var cumulative: [Double] = []

        init(_ count: Int, exponent: Double) {
            var sum = 0.0
            for rank in 1...count {
                sum += 1 / pow(Double(rank), exponent)
                cumulative.append(sum)
            }
        }

        func draw(_ random: inout SeededGenerator) -> Int {
            let point = Double.random(in: 0..<cumulative[cumulative.count - 1], using: &random)
            var low = 0
            var high = cumulative.count - 1
            while low < high {
                let middle = (low + high) / 2
                if cumulative[middle] <= point { low = middle + 1 } else { high = middle }
            }
            return low
        }
    }

    /// Least recently used, by a clock of uses.
    private struct LRU {
        let capacity: Int
        var uses: [Int: Int] = [:]
        var queue: [(object: Int, use: Int)] = []
        var head = 0
        var clock = 0

        init(capacity: Int) { self.capacity = capacity }

        mutating func read(_ object: Int) -> Bool {
            clock += 1
            let isHit = uses[object] != nil
            uses[object] = clock
            queue.append((object, clock))
            while uses.count > capacity {
                let oldest = queue[head]
                head += 1
                if uses[oldest.object] == oldest.use { uses[oldest.object] = nil }
            }
            return isHit
        }
    }

    /// A trace: how steep it is, and how many of its reads are a scan.
    struct Trace: Sendable {
        var exponent: Double
        /// Reads of cold contacts for each 8 reads of warm ones.
        var scanned: Int
    }

    @Test(
        "SIEVE keeps what is read again and again through scans of cold contacts: no worse than LRU",
        arguments: [
            Trace(exponent: 0.7, scanned: 0), Trace(exponent: 0.9, scanned: 0), Trace(exponent: 1.1, scanned: 0),
            Trace(exponent: 0.7, scanned: 2), Trace(exponent: 0.9, scanned: 2), Trace(exponent: 1.1, scanned: 2),
            Trace(exponent: 0.9, scanned: 6),
        ]
    )
    func scans(trace: Trace) throws {
        var random = SeededGenerator("scans")
        let body = ByteBuffer(repeating: 0x61, count: 400)
        let request = CacheFixture.request()
        func key(_ object: Int) -> CacheKey {
            CacheKey(partition: CacheFixture.oneKey, target: "/v1/audiences/a/contacts/\(1_000_000 + object)")
        }
        let head = CacheFixture.head(200, [:])
        func fill(_ cache: MemoryCache, _ object: Int) throws {
            let key = key(object)
            let plan = try StoragePlan(
                head,
                to: request,
                key: key,
                token: cache.fetchToken(key),
                cache.configuration
            )
            try cache.store(plan, body: body)
        }
        var configuration = CacheConfiguration()
        configuration.memoryBytes = 1 << 18
        let cache = MemoryCache(configuration)
        // How many of these objects fit: what LRU gets, too.
        for object in 0..<2000 { try fill(cache, object) }
        let capacity = cache.counters.entries
        cache.purge(path: "/")
        var lru = LRU(capacity: capacity)
        let zipf = Zipf(capacity * 10, exponent: trace.exponent)
        var hits = (sieve: 0, lru: 0)
        var reads = 0
        var coldest = capacity * 10
        func read(_ object: Int) throws {
            reads += 1
            if lru.read(object) { hits.lru += 1 }
            if case .fresh = cache.lookup(key(object), request, nowMilliseconds: 0) {
                hits.sieve += 1
            } else {
                try fill(cache, object)
            }
        }
        for _ in 0..<6 {
            for _ in 0..<(capacity * 8) { try read(zipf.draw(&random)) }
            for _ in 0..<(capacity * trace.scanned) {
                coldest += 1
                try read(coldest)
            }
        }
        func percent(_ hits: Int) -> String { String(format: "%.1f %%", 100 * Double(hits) / Double(reads)) }
        print(
            "hit ratio, Zipf \(trace.exponent), scans \(trace.scanned)/8: SIEVE \(percent(hits.sieve)), "
                + "LRU \(percent(hits.lru)), \(capacity) contacts fit"
        )
        #expect(hits.sieve >= hits.lru, "seed \(random.seed)")
        #expect(hits.lru > reads / 10, "the trace must give LRU a chance")
    }

    @Test("the bytes stay within their bound, and what is said of them is what is there, through random operations")
    func bound() throws {
        var random = SeededGenerator("bound")
        for shards in [1, 3] {
            let fixture = CacheFixture(shards: shards) {
                $0.memoryBytes = 120_000
                $0.maxObjectBytes = 20_000
                $0.maxVariantsPerTarget = 3
            }
            let partitions: [CachePartition] = [.shared, CacheFixture.oneKey, .key(high: 1, low: 3)]
            // What a hit may show: the last body stored for a partition, target and Accept.
            var model: [String: String] = [:]
            for step in 0..<6000 {
                let partition = partitions[Int.random(in: 0..<3, using: &random)]
                let target =
                    "/v1/audiences/\(Int.random(in: 0..<5, using: &random))/contacts/"
                    + "\(Int.random(in: 0..<30, using: &random))" + (Bool.random(using: &random) ? "?q=1" : "")
                let accept = "\(Int.random(in: 0..<4, using: &random))"
                let name = "\(partition) \(target) \(accept)"
                let asked: HTTPHeaders = ["Accept": accept]
                switch Int.random(in: 0..<20, using: &random) {
                case 0..<8:
                    let body = "\(step) " + String(repeating: "x", count: Int.random(in: 0..<9000, using: &random))
                    let plan = try StoragePlan(
                        CacheFixture.head(200, ["Vary": "Accept", "Cache-Control": "max-age=60"]),
                        to: CacheFixture.request(asked),
                        key: fixture.key(target, partition),
                        token: fixture.cache.fetchToken(fixture.key(target, partition)),
                        fixture.configuration
                    )
                    try fixture.cache.store(plan, body: ByteBuffer(string: body))
                    model[name] = body
                case 8..<16:
                    if let hit = fixture.answer(asked, target: target, partition: partition).hit {
                        #expect(hit.wireImage(nowMilliseconds: 0).bodyText == model[name], "seed \(random.seed)")
                    }
                case 16: fixture.cache.invalidate(target: target)
                case 17:
                    fixture.cache.forget(fixture.key(target, partition))
                    for accept in 0..<4 { model["\(partition) \(target) \(accept)"] = nil }
                case 18 where step % 7 == 0:
                    fixture.cache.forget(partition)
                    for name in model.keys where name.hasPrefix("\(partition) ") { model[name] = nil }
                case 19 where step % 11 == 0: fixture.cache.purge(path: "/v1/audiences/3")
                default: break
                }
                let counters = fixture.cache.counters
                #expect(counters.bytes <= 120_000, "seed \(random.seed)")
                #expect(counters.entries >= 0 && (counters.entries == 0) == (counters.bytes == 0))
            }
            let counters = fixture.cache.counters
            #expect(counters.evicted > 0 && counters.hits > 0 && counters.invalidated > 0)
            for partition in partitions { fixture.cache.forget(partition) }
            #expect(fixture.cache.counters.bytes == 0)
            #expect(fixture.cache.counters.entries == 0)
        }
    }

    @Test("a reply that is larger than the cache is refused, and nothing is evicted for it")
    func largerThanCache() throws {
        let fixture = CacheFixture { $0.memoryBytes = 20_000 }
        try fixture.store([:], target: "/v1/audiences/small")
        #expect(fixture.refusal([:], body: String(repeating: "x", count: 30_000)) == .tooLarge)
        #expect(fixture.word(target: "/v1/audiences/small") == "fresh")
    }

    @Test("what is said of an entry's cost is at least what its texts take")
    func honest() throws {
        let fixture = CacheFixture()
        let target = "/v1/audiences/" + String(repeating: "t", count: 3000)
        try fixture.store(
            ["X-Long": String(repeating: "h", count: 5000)],
            body: String(repeating: "b", count: 7000),
            target: target
        )
        #expect(fixture.cache.counters.bytes > 2 * 3000 + 5000 + 7000)
    }

    @Test("P4 nothing that was stored for one partition is ever found in another")
    func partitions() throws {
        var random = SeededGenerator("partitions")
        let fixture = CacheFixture(shards: 2) { $0.memoryBytes = 300_000 }
        let partitions: [CachePartition] =
            [.shared] + (0..<6).map { .key(high: UInt64($0 / 2), low: UInt64($0 % 2)) } + [.key(high: 0, low: .max)]
        for step in 0..<20_000 {
            let number = Int.random(in: 0..<partitions.count, using: &random)
            let target = "/v1/audiences/\(Int.random(in: 0..<40, using: &random))"
            if step % 3 == 0 {
                let body = "\(number) \(target)"
                try fixture.store([:], body: body, target: target, partition: partitions[number])
            } else if let hit = fixture.answer(target: target, partition: partitions[number]).hit {
                let text = hit.wireImage(nowMilliseconds: 0).bodyText
                #expect(text == "\(number) \(target)", "seed \(random.seed)")
            }
        }
        #expect(fixture.cache.counters.hits > 1000)
    }

    @Test("targets are compared byte by byte, not as Unicode text")
    func bytes() throws {
        let fixture = CacheFixture()
        try fixture.store([:], target: "/v1/audiences/K")
        #expect(fixture.word(target: "/v1/audiences/\u{212A}") == "uri-miss")
        #expect(fixture.word(target: "/v1/audiences/k") == "uri-miss")
        #expect(fixture.word(target: "/v1/audiences/K") == "fresh")
    }

    @Test("the counters say what happened")
    func counters() throws {
        let fixture = CacheFixture()
        _ = fixture.answer()
        try fixture.store(["ETag": "\"a\""])
        _ = fixture.answer(at: 1)
        _ = fixture.answer(at: 61)
        _ = fixture.answer(at: 100)
        #expect(fixture.wordOnError(at: 100) == "stale")
        let counters = fixture.cache.counters
        #expect(counters.misses == 1)
        #expect(counters.hits == 1)
        #expect(counters.stale == 1)
        #expect(counters.staleOnError == 1)
        #expect(counters.validations == 2)
        #expect(counters.stored == 1)
        #expect(counters.entries == 1)
        #expect(counters.bytes > 0)
    }
}
