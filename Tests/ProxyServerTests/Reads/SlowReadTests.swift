import ResponseCache
import Synchronization
import TestSupport
import Testing

@testable import ProxyServer

@Suite("Reads that the upstream is slow to answer (reads.reply_wait)")
struct SlowReadTests {
    /// An upstream that answers at once until it is slow, and then when the gate is open.
    private final class Upstream: Sendable {
        let gate = Gate()
        let isSlow = Atomic<Bool>(false)
        let name = Mutex("Ada")
        let fields: String

        init(_ fields: String = "") { self.fields = fields }

        func answer(_ peer: TestUpstream.Connection, _ head: String) async throws -> Bool {
            if head.hasPrefix("POST") {
                try await peer.write(Reads.reply("{}", status: "201 Created"))
                return true
            }
            if isSlow.load(ordering: .sequentiallyConsistent) { try await gate.passed() }
            try await peer.write(Reads.reply(Reads.contactBody(name.withLock { $0 }), fields))
            return true
        }
    }

    /// Stores the contact, lets it go stale, and makes the upstream slow, which knows it under another name then.
    private func withSlowUpstream(
        _ fields: String = "",
        replyWaitMilliseconds: Int64 = 50,
        _ body: (_ port: Int, _ script: Upstream, _ upstream: TestUpstream, _ parts: TestParts) async throws -> Void
    ) async throws {
        let (script, clock) = (Upstream(fields), MovedClock())
        try await withUpstream(script.answer) { upstream in
            try await withServer(
                upstream: upstream.url,
                clock: clock.clock,
                adjust: { server, _ in server.readReplyWaitMilliseconds = replyWaitMilliseconds },
                { port, parts in
                    _ = try await RawClient.exchange(port: port, Reads.get())
                    clock.advance(seconds: 1_000)
                    script.isSlow.store(true, ordering: .sequentiallyConsistent)
                    script.name.withLock { $0 = "Eve" }
                    try await body(port, script, upstream, parts)
                }
            )
        }
    }

    @Test("what is stale is served when the upstream has not answered in time; the fetch goes on and stores")
    func servesStale() async throws {
        try await withSlowUpstream { port, script, upstream, parts in
            let stale = try await RawClient.exchange(port: port, Reads.get())
            #expect(stale.status == 200 && stale.body == Reads.contactBody("Ada"))
            #expect(stale.cacheStatus == "contact-relay; fwd=stale; ttl=-940; detail=reply-wait")
            // The next readers do not wait, and there is one fetch.
            let next = try await RawClient.exchange(port: port, Reads.get())
            #expect(next.body == Reads.contactBody("Ada") && next.cacheStatus == "contact-relay; hit; ttl=-940")
            #expect(upstream.requests.count == 2 && script.gate.arrived == 1)
            script.gate.open()
            try await eventually("the reply to be stored") { parts.cache.counters.stored == 2 }
            let fresh = try await RawClient.exchange(port: port, Reads.get())
            #expect(fresh.body == Reads.contactBody("Eve") && fresh.cacheStatus == "contact-relay; hit; ttl=60")
            #expect(upstream.requests.count == 2)
        }
    }

    @Test("a write ends it: what is invalidated is not shown for a slow upstream alone")
    func invalidatedMeanwhile() async throws {
        try await withSlowUpstream { port, script, upstream, _ in
            let stale = try await RawClient.exchange(port: port, Reads.get())
            #expect(stale.body == Reads.contactBody("Ada"))
            _ = try await RawClient.exchange(port: port, Reads.request("POST", Reads.target))
            try await RawClient.with(port: port) { client in
                try await client.send(Reads.get())
                try await eventually("a fetch of its own") { script.gate.arrived == 2 }
                script.gate.open()
                let reply = try await client.reply()
                #expect(reply.body == Reads.contactBody("Eve"))
            }
        }
    }

    @Test("every client that waits gets it, whether it leads the fetch or has joined it")
    func everybody() async throws {
        try await withSlowUpstream { port, script, upstream, _ in
            try await withThrowingTaskGroup(of: RawClient.RawReply.self) { group in
                for _ in 0..<5 { group.addTask { try await RawClient.exchange(port: port, Reads.get()) } }
                for try await reply in group {
                    #expect(reply.status == 200 && reply.body == Reads.contactBody("Ada"))
                }
            }
            #expect(upstream.requests.count == 2)
            script.gate.open()
        }
    }

    @Test("an upstream that answers in time is heard")
    func inTime() async throws {
        try await withSlowUpstream(replyWaitMilliseconds: 600_000) { port, script, _, _ in
            try await RawClient.with(port: port) { client in
                try await client.send(Reads.get())
                try await eventually("the fetch") { script.gate.arrived == 1 }
                script.gate.open()
                let reply = try await client.reply()
                #expect(reply.body == Reads.contactBody("Eve") && reply.cacheStatus.contains("fwd-status=200; stored"))
            }
        }
    }

    @Test(
        "what must be revalidated, what a client asks the upstream for, and what was invalidated waits for the upstream",
        arguments: [
            ("Cache-Control: max-age=10, must-revalidate\r\n", "", false),
            ("Cache-Control: no-cache\r\nETag: \"a\"\r\n", "", false),
            ("", "Cache-Control: no-cache\r\n", false), ("", "Cache-Control: max-age=0\r\n", false), ("", "", true),
        ]
    )
    func mustWait(fields: String, asking: String, isInvalidated: Bool) async throws {
        try await withSlowUpstream(fields, replyWaitMilliseconds: 0) { port, script, _, _ in
            if isInvalidated { _ = try await RawClient.exchange(port: port, Reads.request("POST", Reads.target)) }
            try await RawClient.with(port: port) { client in
                try await client.send(Reads.get(fields: asking))
                try await eventually("the fetch") { script.gate.arrived == 1 }
                // Whatever was due at once on the one event loop has happened when this is answered.
                _ = try await RawClient.exchange(port: port, "GET /_relay/live HTTP/1.1\r\nHost: localhost\r\n\r\n")
                script.gate.open()
                let reply = try await client.reply()
                #expect(reply.body == Reads.contactBody("Eve"))
            }
        }
    }

    @Test("a streamed reply that has begun is not replaced")
    func hasBegun() async throws {
        let (gate, clock) = (Gate(), MovedClock())
        let isSlow = Atomic<Bool>(false)
        let fields = "Cache-Control: max-age=10, stale-if-error=86400\r\n"
        try await withUpstream { peer, _ in
            guard isSlow.load(ordering: .sequentiallyConsistent) else {
                try await peer.write(Reads.reply("old", fields))
                return true
            }
            try await peer.write("HTTP/1.1 200 OK\r\n\(fields)Content-Length: 8\r\n\r\nhalf")
            try await gate.passed()
            try await peer.write("more")
            return true
        } _: { upstream in
            try await withServer(
                upstream: upstream.url,
                clock: clock.clock,
                adjust: { server, _ in server.readReplyWaitMilliseconds = 1_000 },
                { port, parts in
                    _ = try await RawClient.exchange(port: port, Reads.get("/v1/senders"))
                    clock.advance(seconds: 100)
                    isSlow.store(true, ordering: .sequentiallyConsistent)
                    try await RawClient.with(port: port) { client in
                        try await client.send(Reads.get("/v1/senders"))
                        try await eventually("the head") { gate.arrived == 1 }
                        // A second read, whose condition is judged by the whole, gets what is stale, and so shows that the
                        // time is over.
                        let conditional = Reads.get("/v1/senders", "If-None-Match: \"other\"\r\n")
                        let other = try await RawClient.exchange(port: port, conditional)
                        #expect(other.body == "old" && other.cacheStatus.contains("detail=reply-wait"))
                        gate.open()
                        let reply = try await client.reply()
                        #expect(reply.isWhole && reply.body == "halfmore")
                    }
                }
            )
        }
    }
}
