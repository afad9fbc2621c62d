import NIOCore
import NIOEmbedded
import NIOHTTP1
import ResponseCache
import Synchronization
import TestSupport
import Testing

@testable import ProxyServer

@Suite("Reads of a reply while it arrives")
struct SharedReadTests {
    private static let target = "/v1/senders"
    private static let live = "GET /_relay/live HTTP/1.1\r\nHost: localhost\r\n\r\n"

    private final class Count: Sendable {
        private let count = Atomic<Int>(0)

        var value: Int { count.load(ordering: .sequentiallyConsistent) }

        func add() { count.add(1, ordering: .sequentiallyConsistent) }
    }

    /// An upstream that sends the head and half of the body, and the rest when the gate is open.
    private func withSlowBody(
        _ fields: String = "Cache-Control: max-age=60\r\n",
        isChunked: Bool = false,
        half: String = "half",
        cache: CacheConfiguration = CacheConfiguration(),
        sharesLoops: Bool = true,
        _ body: (_ port: Int, _ upstream: TestUpstream, _ gate: Gate, _ parts: TestParts) async throws -> Void
    ) async throws {
        let gate = Gate()
        try await withUpstream { peer, _ in
            let size = String(half.utf8.count, radix: 16)
            if isChunked {
                try await peer.write("HTTP/1.1 200 OK\r\n\(fields)Transfer-Encoding: chunked\r\n\r\n")
                try await peer.write("\(size)\r\n\(half)\r\n")
                try await gate.passed()
                try await peer.write("\(size)\r\n\(half)\r\n0\r\n\r\n")
            } else {
                try await peer.write(
                    "HTTP/1.1 200 OK\r\n\(fields)Content-Length: \(2 * half.utf8.count)\r\n\r\n\(half)"
                )
                try await gate.passed()
                try await peer.write(half)
            }
            return true
        } _: { upstream in
            try await withServer(upstream: upstream.url, cache: cache, sharesLoops: sharesLoops) { port, parts in
                try await body(port, upstream, gate, parts)
            }
        }
    }

    @Test(
        "six clients get head and first bytes at once, the upstream is asked once, and all get all of it",
        arguments: [false, true],
        [false, true]
    )
    func together(isChunked: Bool, sharesLoops: Bool) async throws {
        try await withSlowBody(isChunked: isChunked, sharesLoops: sharesLoops) { port, upstream, gate, parts in
            let begun = Count()
            try await withThrowingTaskGroup(of: Void.self) { group in
                for _ in 0..<6 {
                    group.addTask {
                        try await RawClient.with(port: port) { client in
                            try await client.send(Reads.get(Self.target))
                            let head = try #require(await client.head())
                            let first = try #require(await client.bytes())
                            #expect(String(buffer: first).contains("half") && head.hasPrefix("HTTP/1.1 200"))
                            begun.add()
                            var rest = String(buffer: first)
                            let end = isChunked ? "0\r\n\r\n" : "halfhalf"
                            while !rest.hasSuffix(end), let more = await client.bytes() { rest += String(buffer: more) }
                            #expect(rest.hasSuffix(end) && rest.occurrences(of: "half") == 2)
                            let collapsed = head.contains("collapsed")
                            #expect(head.contains("stored") == !isChunked)
                            #expect(!collapsed || head.contains("fwd=uri-miss; fwd-status=200"))
                        }
                    }
                }
                try await eventually("the first bytes at all of them") {
                    begun.value == 6
                }
                gate.open()
                try await group.waitForAll()
            }
            #expect(upstream.requests.count == 1)
            let hit = try await RawClient.exchange(port: port, Reads.get(Self.target))
            #expect(hit.body == "halfhalf" && hit.cacheStatus == "contact-relay; hit; ttl=60")
            #expect(parts.cache.counters.stored == 1)
        }
    }

    @Test("a follower gets no cookie, and one whose request would have chosen another reply asks for its own")
    func notForAll() async throws {
        let fields = "Cache-Control: max-age=60\r\nVary: X-Kind\r\nSet-Cookie: a=b\r\n"
        try await withSlowBody(fields) { port, upstream, gate, _ in
            try await RawClient.with(port: port) { leader in
                try await leader.send(Reads.get(Self.target))
                let head = try #require(await leader.head())
                #expect(head.contains("Set-Cookie: a=b"))
                try await RawClient.with(port: port) { follower in
                    try await follower.send(Reads.get(Self.target))
                    let head = try #require(await follower.head())
                    #expect(head.contains("collapsed") && !head.contains("Set-Cookie"))
                    try await RawClient.with(port: port) { other in
                        try await other.send(Reads.get(Self.target, "X-Kind: other\r\n"))
                        let head = try #require(await other.head())
                        #expect(!head.contains("collapsed") && head.contains("Set-Cookie"))
                        gate.open()
                    }
                }
            }
            #expect(upstream.requests.count == 2)
        }
    }

    @Test("a leader that hangs up within the body takes nothing from its followers, nor from the cache")
    func leaderLeaves() async throws {
        try await withSlowBody { port, upstream, gate, _ in
            try await RawClient.with(port: port) { follower in
                try await RawClient.with(port: port) { leader in
                    try await leader.send(Reads.get(Self.target))
                    _ = try #require(await leader.head())
                    try await follower.send(Reads.get(Self.target))
                    let head = try #require(await follower.head())
                    #expect(head.contains("collapsed"))
                    try await leader.vanish()
                }
                gate.open()
                var text = ""
                while text != "halfhalf", let more = await follower.bytes() { text += String(buffer: more) }
                #expect(text == "halfhalf")
            }
            let hit = try await RawClient.exchange(port: port, Reads.get(Self.target))
            #expect(hit.cacheStatus.contains("; hit;") && upstream.requests.count == 1)
        }
    }

    @Test(
        "a body of unknown length that turns out to be too long reaches all that read it, and is not stored",
        arguments: [false, true]
    )
    func tooLong(sharesLoops: Bool) async throws {
        let half = String(repeating: "x", count: 40_000)
        let cache = CacheConfiguration.with(maxObjectBytes: 50_000)
        try await withSlowBody(isChunked: true, half: half, cache: cache, sharesLoops: sharesLoops) {
            port,
            upstream,
            gate,
            parts in
            try await withThrowingTaskGroup(of: RawClient.RawReply.self) { group in
                for _ in 0..<3 { group.addTask { try await RawClient.exchange(port: port, Reads.get(Self.target)) } }
                try await eventually("the readers") { gate.arrived == 1 && parts.cache.counters.misses >= 3 }
                // One event loop: the followers have joined when this is answered.
                _ = try await RawClient.exchange(port: port, Self.live)
                // It waits for the whole, and has to ask for its own.
                let conditional = Reads.get(Self.target, "If-None-Match: \"a\"\r\n")
                group.addTask { try await RawClient.exchange(port: port, conditional) }
                try await eventually("the last reader") { parts.cache.counters.misses >= 4 }
                _ = try await RawClient.exchange(port: port, Self.live)
                gate.open()
                for try await reply in group {
                    #expect(reply.status == 200 && reply.isWhole && reply.body.contains(half))
                }
            }
            #expect(upstream.requests.count == 2 && parts.cache.counters.stored == 0)
        }
    }

    @Test("a reply that breaks off within its body breaks off for all that read it")
    func breaksOff() async throws {
        let gate = Gate()
        try await withUpstream { peer, _ in
            try await peer.write("HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nContent-Length: 8\r\n\r\nhalf")
            try await gate.passed()
            return false
        } _: { upstream in
            try await withServer(upstream: upstream.url) { port, parts in
                try await withThrowingTaskGroup(of: RawClient.RawReply.self) { group in
                    for _ in 0..<3 {
                        group.addTask { try await RawClient.exchange(port: port, Reads.get(Self.target)) }
                    }
                    try await eventually("the readers") { gate.arrived == 1 && parts.cache.counters.misses >= 3 }
                    _ = try await RawClient.exchange(port: port, Self.live)
                    gate.open()
                    for try await reply in group { #expect(!reply.isWhole && reply.body == "half") }
                }
                #expect(upstream.requests.count == 1 && parts.cache.counters.stored == 0)
            }
        }
    }

    // MARK: - On channels without a network

    /// A client's connection that is served as in the daemon, without a network.
    private final class Client {
        let channel = EmbeddedChannel()

        init(_ core: ServerCore) throws {
            let loop = EventLoopContext(eventLoop: channel.eventLoop, wallSeconds: { 784_111_777 })
            let handler = ConnectionHandler(server: core, loop: loop, router: core.router)
            try channel.pipeline.syncOperations.addHandler(handler)
            try channel.connect(to: SocketAddress(unixDomainSocketPath: "/client")).wait()
        }

        func send(_ text: String) {
            channel.pipeline.fireChannelRead(ByteBuffer(string: text))
            channel.pipeline.fireChannelReadComplete()
        }

        func setWritable(_ isWritable: Bool) {
            channel.isWritable = isWritable
            channel.pipeline.fireChannelWritabilityChanged()
        }

        func received() throws -> String {
            channel.embeddedEventLoop.run()
            var text = ""
            while let bytes = try channel.readOutbound(as: ByteBuffer.self) { text += String(buffer: bytes) }
            return text
        }
    }

    /// A flight for the target, in the table, with the head of its reply.
    private func flight(_ core: ServerCore) throws -> (Flight, FlightHead) {
        let key = CacheKey(partition: .shared, target: Self.target)
        let flight = Flight(token: core.reads.cache.fetchToken(key))
        core.reads.flights.add(flight, key)
        let reply = ReplyHead(
            status: 200,
            headers: ["Cache-Control": "max-age=60", "Content-Length": "6"],
            times: core.reads.clock.times(askedAtMilliseconds: core.reads.clock.milliseconds())
        )
        let request = CacheRequest(method: .GET, headers: [:])
        let plan = try StoragePlan(reply, to: request, key: key, token: flight.token, CacheConfiguration())
        return (flight, FlightHead(reply: reply, plan: plan))
    }

    @Test("a client that takes nothing holds up no other one, and gets the same bytes when it does")
    func slowReader() throws {
        let core = ConnectionFixture.parts.core()
        let (flight, head) = try flight(core)
        let (slow, quick) = (try Client(core), try Client(core))
        for client in [slow, quick] { client.send(Reads.get(Self.target, key: nil)) }
        #expect(core.reads.waiting == 2)
        flight.show(head)
        #expect(core.reads.waiting == 0)
        slow.setWritable(false)
        _ = flight.append(ByteBuffer(string: "one"))
        _ = flight.append(ByteBuffer(string: "two"))
        let received = try quick.received()
        #expect(received.contains("stored; collapsed; ttl=60\r\n") && received.hasSuffix("\r\n\r\nonetwo"))
        #expect(try slow.received().hasSuffix("\r\n\r\n"))
        flight.end(.notShared, isWhole: true)
        core.reads.flights.remove(flight, CacheKey(partition: .shared, target: Self.target))
        slow.setWritable(true)
        #expect(try slow.received() == "onetwo")
        // Each is served its next request.
        for client in [slow, quick] {
            client.send(Self.live)
            #expect(try client.received().hasPrefix("HTTP/1.1 "))
            _ = try client.channel.finish()
        }
    }

    @Test("a client that comes within the body gets at once what has come of it")
    func lateComer() throws {
        let core = ConnectionFixture.parts.core()
        let (flight, head) = try flight(core)
        flight.show(head)
        _ = flight.append(ByteBuffer(string: "one"))
        let late = try Client(core)
        late.send(Reads.get(Self.target, key: nil))
        #expect(try late.received().hasSuffix("\r\n\r\none"))
        _ = flight.append(ByteBuffer(string: "two"))
        flight.end(.notShared, isWhole: true)
        core.reads.flights.remove(flight, CacheKey(partition: .shared, target: Self.target))
        #expect(try late.received() == "two")
        _ = try late.channel.finish()
    }

    @Test("a client that goes leaves the flight, whether it has got the head or not", arguments: [false, true])
    func leaves(isLate: Bool) throws {
        let core = ConnectionFixture.parts.core()
        let (flight, head) = try flight(core)
        let client = try Client(core)
        client.send(Reads.get(Self.target, key: nil))
        if isLate { flight.show(head) }
        _ = try? client.channel.finish()
        #expect(core.reads.waiting == 0)
        if !isLate { flight.show(head) }
        #expect(!flight.isStreamed)
        flight.end(.notShared)
        core.reads.flights.remove(flight, CacheKey(partition: .shared, target: Self.target))
    }
}
