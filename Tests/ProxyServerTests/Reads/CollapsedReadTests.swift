import ResponseCache
import Synchronization
import TestSupport
import Testing

@testable import ProxyServer

@Suite("Collapsed reads")
struct CollapsedReadTests {
    /// An upstream that has the contact, and tells it when the gate is open.
    private func withGatedUpstream(_ body: (_ upstream: TestUpstream, _ gate: Gate) async throws -> Void) async throws {
        let gate = Gate()
        try await withUpstream { peer, _ in
            try await gate.passed()
            try await peer.write(Reads.reply(Reads.contactBody("Ada")))
            return true
        } _: { upstream in
            try await body(upstream, gate)
        }
    }

    @Test("200 clients that ask for one cold contact cost the upstream one request")
    func oneRequest() async throws {
        try await withGatedUpstream { upstream, gate in
            try await withServer(upstream: upstream.url) { port, _ in
                let replies = try await withThrowingTaskGroup(of: RawClient.RawReply.self) { group in
                    for _ in 0..<200 { group.addTask { try await RawClient.exchange(port: port, Reads.get()) } }
                    try await eventually("the fetch") { gate.arrived == 1 }
                    gate.open()
                    return try await group.reduce(into: []) { $0.append($1) }
                }
                #expect(replies.allSatisfy { $0.status == 200 && $0.body == Reads.contactBody("Ada") })
                #expect(upstream.requests.count == 1)
            }
        }
    }

    @Test("the first client's hang-up cancels nobody, and the reply is stored")
    func hangUp() async throws {
        try await withGatedUpstream { upstream, gate in
            try await withServer(upstream: upstream.url) { port, _ in
                try await RawClient.with(port: port) { first in
                    try await first.send(Reads.get())
                    try await eventually("the fetch") { gate.arrived == 1 }
                    try await RawClient.with(port: port) { second in
                        try await second.send(Reads.get())
                        try await first.vanish()
                        // Whether it has joined by now or comes when all is over: the upstream is asked once.
                        gate.open()
                        let reply = try await second.reply()
                        #expect(reply.status == 200 && reply.body == Reads.contactBody("Ada"))
                    }
                }
                #expect(upstream.requests.count == 1)
            }
        }
    }

    @Test("those who wait for a reply that is not for sharing get one each")
    func notShared() async throws {
        let gate = Gate()
        let count = Mutex(0)
        try await withUpstream { peer, _ in
            try await gate.passed()
            let number = count.withLock { count in
                count += 1
                return count
            }
            try await peer.write(Reads.reply("reply \(number)", "Cache-Control: no-store\r\n"))
            return true
        } _: { upstream in
            try await withServer(upstream: upstream.url) { port, _ in
                let bodies = try await withThrowingTaskGroup(of: String.self) { group in
                    for _ in 0..<10 { group.addTask { try await RawClient.exchange(port: port, Reads.get()).body } }
                    try await eventually("a fetch") { gate.arrived >= 1 }
                    gate.open()
                    return try await group.reduce(into: Set<String>()) { $0.insert($1) }
                }
                #expect(bodies.count == 10)
            }
        }
    }

    @Test("a failure is everybody's, and the upstream is asked once")
    func failure() async throws {
        let gate = Gate()
        try await withUpstream { peer, _ in
            try await gate.passed()
            try await peer.write(Reads.reply("sorry", status: "503 Service Unavailable"))
            return true
        } _: { upstream in
            try await withServer(upstream: upstream.url) { port, parts in
                try await withThrowingTaskGroup(of: RawClient.RawReply.self) { group in
                    group.addTask { try await RawClient.exchange(port: port, Reads.get()) }
                    try await eventually("the fetch") { gate.arrived == 1 }
                    for _ in 0..<5 {
                        try await RawClient.with(port: port) { client in
                            // Answered on the same event loop after the read has joined: whoever pipelines behind it waits.
                            try await client.send(Reads.get())
                            _ = try await RawClient.exchange(
                                port: port,
                                "GET /_relay/live HTTP/1.1\r\nHost: localhost\r\n\r\n"
                            )
                        }
                    }
                    group.addTask { try await RawClient.exchange(port: port, Reads.get()) }
                    _ = try await RawClient.exchange(port: port, "GET /_relay/live HTTP/1.1\r\nHost: localhost\r\n\r\n")
                    gate.open()
                    for try await reply in group {
                        #expect(reply.status == 503 && reply.body == "sorry")
                        #expect(reply.cacheStatus.contains("fwd=uri-miss; fwd-status=503"))
                    }
                }
                // One that came after the end has asked again.
                #expect(upstream.requests.count <= 2)
            }
        }
    }

    @Test(
        "an error that was asked for with credentials is shown to nobody else: the others ask for their own",
        arguments: [nil, "one"] as [String?],
        ["Authorization", "Cookie"]
    )
    func personalFailure(key: String?, field: String) async throws {
        let gate = Gate()
        try await withUpstream { peer, head in
            try await gate.passed()
            let sent = RawClient.RawReply(head: head, body: "", isWhole: true)
            let user = sent.field(field) ?? "nobody"
            try await peer.write(Reads.reply("about \(user)", status: "500 Internal Server Error"))
            return true
        } _: { upstream in
            try await withServer(upstream: upstream.url) { port, parts in
                try await RawClient.with(port: port) { first in
                    try await first.send(Reads.get(key: key, fields: "\(field): one\r\n"))
                    try await eventually("the fetch") { gate.arrived == 1 }
                    try await RawClient.with(port: port) { second in
                        try await second.send(Reads.get(key: key, fields: "\(field): two\r\n"))
                        // One event loop: whoever is answered now came after the second has joined.
                        _ = try await RawClient.exchange(
                            port: port,
                            "GET /_relay/live HTTP/1.1\r\nHost: localhost\r\n\r\n"
                        )
                        gate.open()
                        let own = try await first.reply()
                        #expect(own.status == 500 && own.body == "about one")
                        let other = try await second.reply()
                        #expect(other.status == 500 && other.body == "about two")
                        let third = try await RawClient.exchange(port: port, Reads.get(key: key))
                        #expect(third.status == 500 && third.body == "about nobody")
                    }
                }
            }
        }
    }

    @Test("many who look at once are one that flies and others that join it")
    func table() async {
        let table = FlightTable()
        let fixtureKey = CacheKey(partition: .shared, target: "/")
        let cache = MemoryCache(CacheConfiguration())
        let own = (0..<64).map { _ in Flight(token: cache.fetchToken(fixtureKey)) }
        let begun = await withTaskGroup(of: Bool.self) { group in
            for flight in own {
                group.addTask { table.join(fixtureKey, canJoin: { _ in true }, orBegin: flight) === flight }
            }
            return await group.reduce(0) { $0 + ($1 ? 1 : 0) }
        }
        #expect(begun == 1)
    }

    @Test("beyond reads.max_waiters a read is refused at once")
    func bounded() async throws {
        try await withGatedUpstream { upstream, gate in
            try await withServer(
                upstream: upstream.url,
                adjust: { server, _ in server.maxReadWaiters = 1 },
                { port, _ in
                    try await RawClient.with(port: port) { first in
                        try await first.send(Reads.get())
                        try await eventually("the fetch") { gate.arrived == 1 }
                        try await withThrowingTaskGroup(of: Int.self) { group in
                            for _ in 0..<3 {
                                group.addTask { try await RawClient.exchange(port: port, Reads.get()).status }
                            }
                            // Two of the three are refused while nothing has come yet.
                            let refused = [try await group.next(), try await group.next()]
                            gate.open()
                            let answered = try await group.next()
                            #expect(refused == [503, 503] && answered == 200)
                        }
                    }
                }
            )
        }
    }

    @Test("a read that comes after a write does not share a reply that was asked for before it")
    func afterWrite() async throws {
        try await withOvertakenRead { port, _, gate, slow, after in
            gate.open()
            let old = try await slow.reply()
            #expect(old.body.contains("\"version\":0"))
            // And the old one has not taken the new one's place.
            let later = try await RawClient.exchange(port: port, Reads.get(Reads.list))
            #expect(later.body == after.body && later.cacheStatus.contains("; hit;"))
        }
    }
}
