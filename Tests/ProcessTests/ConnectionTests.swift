import NIOHTTP1
import Testing

extension ProcessTests {
    /// HTTP/1.1 on the wire, as clients of all ages speak it (RFC 9112).
    @Suite struct ConnectionTests {
        private static func put(_ name: String, version: String = "1.1", fields: String = "") -> String {
            let body = Samples.body(name)
            return "PUT \(Samples.target) HTTP/\(version)\r\nHost: localhost\r\nX-Dexatel-Key: \(Samples.key)\r\n"
                + "Content-Type: application/json\r\nContent-Length: \(body.utf8.count)\r\n\(fields)\r\n\(body)"
        }

        private static func get(_ path: String, method: String = "GET", fields: String = "") -> String {
            "\(method) \(path) HTTP/1.1\r\nHost: localhost\r\n\(fields)\r\n"
        }

        @Test("Requests that are pipelined are answered in order on one connection, slow ones first if they came first")
        func pipelining() async throws {
            try await withSandbox { sandbox in
                let simulator = try await SimulatorProcess(in: sandbox)
                let relay = try await RelayProcess(in: sandbox, upstream: simulator)
                try await simulator.setFaults(#"{"latency_ms":300}"#)
                let connection = try RawConnection(port: relay.port)
                await connection.send(
                    Self.put("one") + Self.get("/_relay/live") + Self.put("two")
                        + Self.get("/_relay/ready", method: "HEAD") + Self.get("/_relay/nothing")
                )
                let first = await connection.receive { RawReplies($0, toHead: [3]).replies.count == 5 }
                let replies = RawReplies(first, toHead: [3])
                #expect(replies.replies.map(\.status) == [200, 200, 200, 200, 404])
                #expect(replies.rest == "")
                #expect(replies.replies.first?.text.contains(#""first_name":"one""#) == true)
                #expect(replies.replies.dropFirst(2).first?.text.contains(#""first_name":"two""#) == true)
                #expect(replies.replies.dropFirst().first?.text.contains("event_loop") == true)
                // And the connection persists.
                await connection.send(Self.get("/_relay/live", fields: "Connection: close\r\n"))
                let last = RawReplies(await connection.receive())
                #expect(last.replies.map(\.status) == [200])
                #expect(last.replies.first?.headers["Connection"] == ["close"])
                #expect(try await simulator.applied() == ["one", "two"])
            }
        }

        @Test("HEAD gets the head that GET gets, and no body")
        func head() async throws {
            try await withSandbox { sandbox in
                let simulator = try await SimulatorProcess(in: sandbox)
                let relay = try await RelayProcess(in: sandbox, upstream: simulator)
                let connection = try RawConnection(port: relay.port)
                await connection.send(
                    Self.get("/_relay/ready", method: "HEAD")
                        + Self.get("/_relay/ready", fields: "Connection: close\r\n")
                )
                let replies = RawReplies(await connection.receive(), toHead: [0]).replies
                #expect(replies.map(\.status) == [200, 200])
                let lengths = replies.compactMap { $0.headers.first(name: "Content-Length") }
                #expect(lengths == [String](repeating: String(replies.last?.body.count ?? -1), count: 2))
            }
        }

        @Test("A client of HTTP/1.0 is answered, and its connection closed")
        func http10() async throws {
            try await withSandbox { sandbox in
                let simulator = try await SimulatorProcess(in: sandbox)
                let relay = try await RelayProcess(in: sandbox, upstream: simulator)
                let connection = try RawConnection(port: relay.port)
                await connection.send(Self.put("old", version: "1.0"))
                let replies = RawReplies(await connection.receive())
                #expect(replies.replies.map(\.status) == [200])
                #expect(replies.rest == "")
                #expect(try await simulator.applied() == ["old"])
            }
        }

        @Test("A client that has closed its half gets its answers")
        func halfClosed() async throws {
            try await withSandbox { sandbox in
                let simulator = try await SimulatorProcess(in: sandbox)
                let relay = try await RelayProcess(in: sandbox, upstream: simulator)
                try await simulator.setFaults(#"{"latency_ms":200}"#)
                let connection = try RawConnection(port: relay.port)
                await connection.send(Self.put("one") + Self.put("two"))
                connection.finishSending()
                let replies = RawReplies(await connection.receive()).replies
                #expect(replies.map(\.status) == [200, 200])
                #expect(try await simulator.applied() == ["one", "two"])
            }
        }

        @Test("Expect: 100-continue is answered before the body is sent")
        func expectContinue() async throws {
            try await withSandbox { sandbox in
                let simulator = try await SimulatorProcess(in: sandbox)
                let relay = try await RelayProcess(in: sandbox, upstream: simulator)
                let request = Self.put("patient", fields: "Expect: 100-continue\r\n")
                let headLength = request.utf8.count - Samples.body("patient").utf8.count
                let connection = try RawConnection(port: relay.port)
                await connection.send(String(decoding: request.utf8.prefix(headLength), as: UTF8.self))
                let invitation = await connection.receive { $0.hasSuffix("\r\n\r\n") }
                #expect(invitation == "HTTP/1.1 100 Continue\r\n\r\n")
                await connection.send(Samples.body("patient"))
                let text = await connection.receive { RawReplies($0).replies.count == 1 }
                #expect(RawReplies(text).replies.map(\.status) == [200])
            }
        }

        @Test("A write behind an offer to upgrade is taken, on the same connection")
        func upgradeOffer() async throws {
            try await withSandbox { sandbox in
                let simulator = try await SimulatorProcess(in: sandbox)
                let relay = try await RelayProcess(in: sandbox, upstream: simulator)
                let offer = "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n"
                let connection = try RawConnection(port: relay.port)
                await connection.send(Self.put("one", fields: offer))
                _ = await connection.receive { RawReplies($0).replies.count == 1 }
                await connection.send(Self.put("two", fields: offer))
                let text = await connection.receive { RawReplies($0).replies.count == 1 }
                #expect(RawReplies(text).replies.map(\.status) == [200])
                #expect(try await simulator.applied() == ["one", "two"])
            }
        }

        @Test(
            "A thousand connections that offer upgrades, trickle heads or send garbage leave memory bounded and others served"
        )
        func unfriendlyConnections() async throws {
            try await withSandbox { sandbox in
                let simulator = try await SimulatorProcess(in: sandbox)
                let relay = try await RelayProcess(in: sandbox, upstream: simulator)
                #expect(try await relay.put("before").status == 200)
                let before = try await relay.residentBytes()
                let upgrade = Self.get("/_relay/live", fields: "Connection: Upgrade\r\nUpgrade: x\r\n")
                let head = "GET /_relay/live HTTP/1.1\r\nHost: localhost\r\nX-Long: "
                let filler = String(repeating: "x", count: 15_000)
                let connections = try (0..<1000).map { _ in try RawConnection(port: relay.port) }
                await withTaskGroup(of: Void.self) { group in
                    for (index, connection) in connections.enumerated() {
                        group.addTask {
                            switch index % 3 {
                            case 0: await connection.send(upgrade + upgrade + String(repeating: "x", count: 100_000))
                            case 1: await connection.send(head + filler)
                            default: await connection.send(String(repeating: "\u{0}garbage", count: 10_000))
                            }
                        }
                    }
                }
                #expect(try await relay.put("meanwhile").status == 200)
                #expect(try await relay.send(.GET, "/_relay/live").status == 200)
                // A connection has a read's buffer of 64 KiB and a head of listen.max_head at most, and some KiB beside them.
                #expect(try await relay.residentBytes() - before < 1000 * 96 * 1024)
                #expect(try await simulator.applied() == ["before", "meanwhile"])
                withExtendedLifetime(connections) {}
            }
        }
    }
}
