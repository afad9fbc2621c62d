import Outbox
import ResponseCache
import Synchronization
import TestSupport
import Testing
import Upstream

@testable import ProxyServer

@Suite("Reads while the upstream fails")
struct OutageReadTests {
    @Test("what is stale stands in for an upstream that fails, says so, and is revalidated when that is back")
    func staleIfError() async throws {
        let isUp = Atomic<Bool>(true)
        let clock = MovedClock()
        try await withUpstream { peer, _ in
            try await peer.write(
                isUp.load(ordering: .sequentiallyConsistent)
                    ? Reads.reply(Reads.contactBody("Ada")) : Reads.reply("", status: "503 Service Unavailable")
            )
            return true
        } _: { upstream in
            try await withServer(upstream: upstream.url, clock: clock.clock) { port, _ in
                _ = try await RawClient.exchange(port: port, Reads.get())
                clock.advance(seconds: 1_000)
                isUp.store(false, ordering: .sequentiallyConsistent)
                let stale = try await RawClient.exchange(port: port, Reads.get())
                #expect(stale.status == 200 && stale.body == Reads.contactBody("Ada"))
                #expect(stale.cacheStatus == "contact-relay; fwd=stale; fwd-status=503; ttl=-940")
                #expect(stale.field("Age") == "1000")
                isUp.store(true, ordering: .sequentiallyConsistent)
                let fresh = try await RawClient.exchange(port: port, Reads.get())
                #expect(fresh.cacheStatus == "contact-relay; fwd=stale; fwd-status=200; stored; ttl=60")
            }
        }
    }

    @Test(
        "P6 what is no answer of the API is passed on, and takes the place of nothing that is stored",
        arguments: [
            ("200 OK", "<html>We are back soon</html>"), ("200 OK", #"{"message":"maintenance"}"#), ("200 OK", ""),
            ("404 Not Found", "no such service"), ("404 Not Found", #"{"message":"no Route matched"}"#),
            ("405 Method Not Allowed", ""), ("501 Not Implemented", "?"), ("301 Moved Permanently", ""),
            ("410 Gone", ""),
        ]
    )
    func strangeReplies(status: String, body: String) async throws {
        let isStrange = Atomic<Bool>(false)
        let clock = MovedClock()
        let list = #"{"data":[\#(Reads.contactBody("Ada").dropFirst(8).dropLast(1))]}"#
        try await withUpstream { peer, head in
            let isContact = head.hasPrefix("GET \(Reads.target)")
            try await peer.write(
                isStrange.load(ordering: .sequentiallyConsistent)
                    ? Reads.reply(body, status: status) : Reads.reply(isContact ? Reads.contactBody("Ada") : list)
            )
            return true
        } _: { upstream in
            try await withServer(upstream: upstream.url, clock: clock.clock) { port, parts in
                for key in ["one", nil] {
                    for target in [Reads.target, Reads.list] {
                        isStrange.store(false, ordering: .sequentiallyConsistent)
                        let before = try await RawClient.exchange(port: port, Reads.get(target, key: key))
                        clock.advance(seconds: 1_000)
                        isStrange.store(true, ordering: .sequentiallyConsistent)
                        let strange = try await RawClient.exchange(port: port, Reads.get(target, key: key))
                        #expect(strange.status == Int(status.prefix(3)) && strange.body == body)
                        #expect(strange.cacheStatus.contains("detail=unexpected-reply"))
                        #expect(!strange.cacheStatus.contains("stored"))
                        let stale = try await RawClient.exchange(
                            port: port,
                            Reads.get(target, key: key, "Cache-Control: max-stale\r\n")
                        )
                        #expect(stale.status == 200 && stale.body == before.body)
                        #expect(stale.cacheStatus.contains("ttl=-940"))
                    }
                }
                parts.openBreaker()
                for target in [Reads.target, Reads.list] {
                    let reply = try await RawClient.exchange(port: port, Reads.get(target))
                    #expect(reply.status == 200 && reply.cacheStatus.contains("; hit;"))
                }
            }
        }
    }

    @Test("P6 after a restart in an outage any number of reads at once are answered from disk")
    func manyAtOnce() async throws {
        let (clock, folder) = (MovedClock(), try TemporaryDirectory())
        let targets = (0..<400).map { "/v1/audiences/\($0)" }
        try await withUpstream { peer, head in
            try await peer.write(Reads.reply(String(head.split(separator: " ")[1])))
            return true
        } _: { upstream in
            try await withServer(upstream: upstream.url, over: folder, clock: clock.clock) { port, _ in
                try await RawClient.with(port: port) { client in
                    for target in targets {
                        try await client.send(Reads.get(target))
                        _ = try await client.reply()
                    }
                }
            }
        }
        try await withServer(upstream: "http://127.0.0.1:9", over: folder, clock: clock.clock) { port, parts in
            parts.openBreaker()
            try await withThrowingTaskGroup(of: Void.self) { group in
                for target in targets {
                    group.addTask {
                        let reply = try await RawClient.exchange(port: port, Reads.get(target))
                        #expect(reply.status == 200 && reply.body == target)
                    }
                }
                try await group.waitForAll()
            }
        }
    }

    @Test("P8 more look-ups on disk than there is room for are refused while the upstream is away, and else fetched")
    func tooManyLookups() async throws {
        let folder = try TemporaryDirectory()
        try await withUpstream { peer, head in
            let isList = !head.contains(Reads.contact)
            try await peer.write(Reads.reply(isList ? #"{"data":[]}"# : Reads.contactBody("Ada")))
            return true
        } _: { upstream in
            try await withServer(upstream: upstream.url, over: folder) { port, _ in
                // What is known not to be on disk needs no look-up.
                _ = try await RawClient.exchange(port: port, Reads.get(Reads.list))
                _ = try await RawClient.exchange(port: port, Reads.get())
            }
            try await withServer(upstream: upstream.url, over: folder, maxLookups: 0) { port, parts in
                let fetched = try await RawClient.exchange(port: port, Reads.get())
                #expect(fetched.status == 200 && fetched.cacheStatus.contains("stored"))
                parts.openBreaker()
                let refused = try await RawClient.exchange(port: port, Reads.get(Reads.list))
                #expect(refused.status == 503 && refused.field("Contact-Relay-Error") == "too_many_lookups")
                #expect(refused.field("Retry-After") == "1")
            }
        }
    }

    @Test("with the breaker open a stale read is answered at once, and the upstream is not asked")
    func breakerOpen() async throws {
        let clock = MovedClock()
        try await withUpstream { peer, _ in
            try await peer.write(Reads.reply(Reads.contactBody("Ada")))
            return true
        } _: { upstream in
            try await withServer(upstream: upstream.url, clock: clock.clock) { port, parts in
                _ = try await RawClient.exchange(port: port, Reads.get())
                clock.advance(seconds: 1_000)
                parts.openBreaker()
                let stale = try await RawClient.exchange(port: port, Reads.get())
                #expect(stale.status == 200 && stale.cacheStatus == "contact-relay; hit; ttl=-940")
                #expect(upstream.requests.count == 1)
                let nothing = try await RawClient.exchange(port: port, Reads.get(Reads.list))
                #expect(nothing.status == 504 && nothing.field("Retry-After") != nil)
                #expect(nothing.field("Contact-Relay-Error") == "upstream_unreachable")
                #expect(nothing.cacheStatus == "contact-relay; detail=upstream-unreachable")
                #expect(nothing.body.contains("\"status\":504"))
                #expect(upstream.requests.count == 1)
            }
        }
    }

    @Test("a read that only the upstream can answer is 504 while that is away, and says what the cache did")
    func passedThrough() async throws {
        try await withServer(upstream: "http://127.0.0.1:9") { port, parts in
            let requests = [
                Reads.request("HEAD", "/v1/senders"), Reads.get("/v1/senders", "Range: bytes=0-1\r\n"),
                Reads.get(fields: "If-Match: \"a\"\r\n"),
            ]
            for isKnown in [false, true] {
                if isKnown { parts.openBreaker() }
                for request in requests {
                    let reply = try await RawClient.exchange(port: port, request)
                    #expect(reply.status == 504 && reply.field("Retry-After") != nil)
                    #expect(reply.field("Contact-Relay-Error") == "upstream_unreachable")
                    #expect(reply.cacheStatus.contains(isKnown ? "detail=upstream-unreachable" : "detail=unreachable"))
                }
            }
            let post = try await RawClient.exchange(port: port, Reads.request("POST", "/v1/messages"))
            #expect(post.status == 503 && post.cacheStatus == "")
        }
    }

    @Test("what must be revalidated is not shown while the upstream is away")
    func mustRevalidate() async throws {
        let clock = MovedClock()
        try await withUpstream { peer, _ in
            try await peer.write(
                Reads.reply(Reads.contactBody("Ada"), "Cache-Control: max-age=10, must-revalidate\r\n")
            )
            return true
        } _: { upstream in
            try await withServer(upstream: upstream.url, clock: clock.clock) { port, parts in
                _ = try await RawClient.exchange(port: port, Reads.get())
                clock.advance(seconds: 11)
                parts.openBreaker()
                let reply = try await RawClient.exchange(port: port, Reads.get())
                #expect(reply.status == 504)
            }
        }
    }

    @Test("stale-while-revalidate answers at once and revalidates once behind the scenes")
    func whileRevalidate() async throws {
        let clock = MovedClock()
        try await withUpstream { peer, head in
            try await peer.write(
                head.contains("If-None-Match: \"v1\"")
                    ? "HTTP/1.1 304 Not Modified\r\nETag: \"v1\"\r\n\r\n"
                    : Reads.reply(Reads.contactBody("Ada"), "ETag: \"v1\"\r\n")
            )
            return true
        } _: { upstream in
            try await withServer(upstream: upstream.url, clock: clock.clock) { port, parts in
                _ = try await RawClient.exchange(port: port, Reads.get())
                clock.advance(seconds: 70)
                let stale = try await RawClient.exchange(port: port, Reads.get())
                #expect(stale.cacheStatus == "contact-relay; hit; ttl=-10")
                try await eventually("the revalidation") { parts.cache.counters.revalidated == 1 }
                let fresh = try await RawClient.exchange(port: port, Reads.get())
                #expect(fresh.cacheStatus == "contact-relay; hit; ttl=60")
                #expect(upstream.requests.count == 2)
            }
        }
    }

    @Test("a 304 that speaks of something else is followed by a request without conditions")
    func foreign304() async throws {
        let clock = MovedClock()
        try await withUpstream { peer, head in
            try await peer.write(
                head.contains("If-None-Match")
                    ? "HTTP/1.1 304 Not Modified\r\nETag: \"other\"\r\n\r\n"
                    : Reads.reply(Reads.contactBody("Ada"), "ETag: \"v1\"\r\n")
            )
            return true
        } _: { upstream in
            try await withServer(upstream: upstream.url, clock: clock.clock) { port, _ in
                _ = try await RawClient.exchange(port: port, Reads.get())
                clock.advance(seconds: 1_000)
                let reply = try await RawClient.exchange(port: port, Reads.get())
                #expect(reply.status == 200 && reply.body == Reads.contactBody("Ada"))
                #expect(upstream.requests.count == 3)
            }
        }
    }

    @Test("a reply that breaks off is broken off towards the client, and not stored")
    func breaksOff() async throws {
        try await withUpstream { peer, _ in
            try await peer.write("HTTP/1.1 200 OK\r\nCache-Control: max-age=9\r\nContent-Length: 8\r\n\r\nhalf")
            return false
        } _: { upstream in
            try await withServer(upstream: upstream.url) { port, parts in
                let reply = try await RawClient.exchange(port: port, Reads.get("/v1/templates"))
                #expect(!reply.isWhole)
                #expect(parts.cache.counters.entries == 0)
            }
        }
    }
}

extension TestParts {
    /// Has what is pending delivered, then takes the upstream away.
    ///
    /// - Parameter count: How many deliveries there are then.
    func deliverAndLose(replying body: String, count: UInt64 = 1) async throws {
        try await deliver(replying: body, count: count)
        openBreaker()
    }

    /// Lets the upstream take what is pending.
    func deliver(replying body: String, count: UInt64 = 1) async throws {
        transport.replyBody.withLock { $0 = body }
        transport.open()
        outbox.upstreamRecovered()
        try await eventually("the delivery") { outbox.committedCounts.delivered == count }
    }

    /// Lets the upstream refuse the one write that is pending.
    func refuse(_ status: Int) async throws {
        transport.replyStatus.withLock { $0 = status }
        transport.replyBody.withLock { $0 = #"{"errors":[{"status":\#(status),"message":"no","code":1352}]}"# }
        transport.open()
        outbox.upstreamRecovered()
        try await eventually("the refusal") {
            outbox.committedCounts.dead == 1 || outbox.committedCounts.held == 1
        }
    }

    /// Lets the breaker see five failures in a row, of five origins.
    func openBreaker() {
        for number in 0..<5 {
            guard case .go(let permit) = upstreamHealth.mayStart(origin: OriginKey("\(number)"), traffic: .read) else {
                continue
            }
            upstreamHealth.ended(permit, .unreachable)
        }
    }
}
