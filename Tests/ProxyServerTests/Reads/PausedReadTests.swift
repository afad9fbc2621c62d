import ResponseCache
import Synchronization
import TestSupport
import Testing

@testable import ProxyServer

@Suite("Reads of a key that the upstream asks to wait")
struct PausedReadTests {
    /// What the upstream says with its 429; it has the contact while there is none.
    private final class Limit: Sendable {
        private let fields = Mutex<String?>(nil)

        func set(_ new: String?) { fields.withLock { $0 = new } }

        func answer(_ peer: TestUpstream.Connection, _ head: String) async throws -> Bool {
            let fields = fields.withLock { $0 }
            try await peer.write(
                fields.map { Reads.reply("slow down", status: "429 Too Many Requests", $0) }
                    ?? Reads.reply(Reads.contactBody("Ada"))
            )
            return true
        }
    }

    @Test("a 429 with Retry-After pauses the reads of its key: what is stored is served stale, and nothing is asked")
    func pauses() async throws {
        let (limit, clock) = (Limit(), MovedClock())
        try await withUpstream(limit.answer) { upstream in
            try await withServer(upstream: upstream.url, clock: clock.clock) { port, _ in
                for target in [Reads.target, "/v1/audiences"] {
                    for key in ["one", "two"] {
                        _ = try await RawClient.exchange(port: port, Reads.get(target, key: key))
                    }
                }
                clock.advance(seconds: 1_000)
                limit.set("Retry-After: 20\r\n")
                // One read learns it, and every other of the key, of whatever, is paused.
                let first = try await RawClient.exchange(port: port, Reads.get())
                #expect(first.status == 200 && first.cacheStatus.contains("fwd=stale; fwd-status=429; ttl=-940"))
                let asked = upstream.requests.count
                for request in [
                    Reads.get(), Reads.get("/v1/audiences"), Reads.get(fields: "Cache-Control: no-cache\r\n"),
                    Reads.get(fields: "Cache-Control: max-stale\r\n"),
                ] {
                    let stale = try await RawClient.exchange(port: port, request)
                    #expect(stale.status == 200 && stale.cacheStatus.hasPrefix("contact-relay; hit; ttl=-940"))
                }
                #expect(upstream.requests.count == asked)
                // Where nothing stale may be served the upstream is asked, and another key is not concerned.
                let missing = try await RawClient.exchange(port: port, Reads.get("/v1/senders"))
                #expect(missing.status == 429 && missing.field("Retry-After") == "20")
                limit.set(nil)
                let other = try await RawClient.exchange(port: port, Reads.get(key: "two"))
                #expect(other.cacheStatus.contains("fwd=stale; fwd-status=200"))
                clock.advance(seconds: 19)
                let still = try await RawClient.exchange(port: port, Reads.get())
                #expect(still.cacheStatus == "contact-relay; hit; ttl=-959")
                clock.advance(seconds: 1)
                let fresh = try await RawClient.exchange(port: port, Reads.get())
                #expect(fresh.cacheStatus == "contact-relay; fwd=stale; fwd-status=200; stored; ttl=60")
            }
        }
    }

    @Test("a pause holds for revalidation behind the scenes, too")
    func refreshes() async throws {
        let (limit, clock) = (Limit(), MovedClock())
        try await withUpstream(limit.answer) { upstream in
            try await withServer(upstream: upstream.url, clock: clock.clock) { port, _ in
                _ = try await RawClient.exchange(port: port, Reads.get())
                limit.set("Retry-After: 20\r\n")
                let missing = try await RawClient.exchange(port: port, Reads.get("/v1/senders"))
                #expect(missing.status == 429)
                clock.advance(seconds: 65)
                limit.set("Retry-After: 30\r\n")
                _ = try await RawClient.exchange(port: port, Reads.get("/v1/senders"))
                let asked = upstream.requests.count
                for _ in 0..<3 {
                    let stale = try await RawClient.exchange(port: port, Reads.get())
                    #expect(stale.cacheStatus == "contact-relay; hit; ttl=-5")
                }
                // Anything that they had brought about would have been asked before this.
                _ = try await RawClient.exchange(port: port, Reads.get("/v1/senders"))
                #expect(upstream.requests.count == asked + 1)
            }
        }
    }

    @Test(
        "a pause is as long as the upstream asks, up to writes.retry.max_retry_after, and needs a Retry-After and a key",
        arguments: [
            ("Retry-After: 9\r\n", "one", 9), ("Retry-After: 7200\r\n", "one", 60), ("", "one", 0),
            ("Retry-After: soon\r\n", "one", 0), ("Retry-After: 0\r\n", "one", 0), ("Retry-After: 9\r\n", nil, 0),
        ] as [(String, String?, Int64)]
    )
    func length(fields: String, key: String?, seconds: Int64) async throws {
        let (limit, clock) = (Limit(), MovedClock())
        try await withUpstream(limit.answer) { upstream in
            try await withServer(
                upstream: upstream.url,
                clock: clock.clock,
                adjust: { server, _ in server.maxRetryAfterMilliseconds = 60_000 },
                { port, _ in
                    _ = try await RawClient.exchange(port: port, Reads.get(key: key))
                    clock.advance(seconds: 1_000)
                    limit.set(fields)
                    let read = Reads.get(key: key)
                    #expect(try await RawClient.exchange(port: port, read).cacheStatus.contains("fwd-status=429"))
                    if seconds > 0 {
                        clock.advance(seconds: seconds - 1)
                        #expect(try await RawClient.exchange(port: port, read).cacheStatus.contains("; hit;"))
                        clock.advance(seconds: 1)
                    }
                    let asked = try await RawClient.exchange(port: port, read)
                    #expect(asked.status == 200 && asked.cacheStatus.contains("fwd-status=429"))
                }
            )
        }
    }

    @Test("a read that is passed through pauses the others as well")
    func passedThrough() async throws {
        let (limit, clock) = (Limit(), MovedClock())
        try await withUpstream(limit.answer) { upstream in
            try await withServer(upstream: upstream.url, clock: clock.clock) { port, _ in
                _ = try await RawClient.exchange(port: port, Reads.get())
                clock.advance(seconds: 1_000)
                limit.set("Retry-After: 20\r\n")
                let part = try await RawClient.exchange(port: port, Reads.get("/v1/senders", "Range: bytes=0-1\r\n"))
                #expect(part.status == 429)
                let stale = try await RawClient.exchange(port: port, Reads.get())
                #expect(stale.status == 200 && stale.cacheStatus == "contact-relay; hit; ttl=-940")
            }
        }
    }

    @Test("members of a bounded set leave it in time; what would leave next makes room")
    func expiringSet() {
        var set = ExpiringSet<Int>(capacity: 4)
        set.insert(0, untilMilliseconds: 10, nowMilliseconds: 10)
        #expect(set.count == 0)
        set.insert(1, untilMilliseconds: 20, nowMilliseconds: 10)
        #expect(set.contains(1, nowMilliseconds: 19) && !set.contains(1, nowMilliseconds: 20))
        set.insert(1, untilMilliseconds: 15, nowMilliseconds: 10)
        #expect(set.contains(1, nowMilliseconds: 19))
        for number in 2...4 { set.insert(number, untilMilliseconds: Int64(number) * 20, nowMilliseconds: 10) }
        set.insert(5, untilMilliseconds: 200, nowMilliseconds: 10)
        #expect((1...5).filter { set.contains($0, nowMilliseconds: 10) } == [3, 4, 5])
        set.remove(4)
        #expect((1...5).filter { set.contains($0, nowMilliseconds: 10) } == [3, 5])
        for number in 6...1_000 {
            set.insert(number, untilMilliseconds: Int64(number), nowMilliseconds: 11)
            #expect(set.count <= 4)
        }
    }
}
