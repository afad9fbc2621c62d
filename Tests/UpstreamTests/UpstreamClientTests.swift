import DexatelAPI
import Glibc
import NIOCore
import NIOHTTP1
import Synchronization
import TestSupport
import Testing
import Upstream

@Suite("Upstream client")
struct UpstreamClientTests {
    private static let ok = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"

    /// Runs a test against a server with a script, and takes both down again.
    private func with(
        _ script: @escaping @Sendable (String, Int) -> ScriptedServer.Reaction,
        basePath: String = "",
        configure: (inout UpstreamConfiguration) -> Void = { _ in },
        _ body: (UpstreamClient, ScriptedServer) async throws -> Void
    ) async throws {
        let server = try await ScriptedServer(script)
        var configuration = UpstreamConfiguration(url: try UpstreamURL(server.url + basePath))
        // Long enough never to matter on a busy machine; tests of timeouts set their own.
        configuration.connectTimeout = .seconds(30)
        configuration.requestTimeout = .seconds(60)
        configure(&configuration)
        let client = UpstreamClient(configuration: configuration)
        do {
            try await body(client, server)
        } catch {
            Issue.record(error)
        }
        await client.shutdown()
        try await server.stop()
    }

    private func failure(_ result: Result<UpstreamReply, UpstreamFailure>) throws -> UpstreamFailure {
        guard case .failure(let failure) = result else {
            throw UnexpectedReply(result: "\(result)")
        }
        return failure
    }

    private struct UnexpectedReply: Error { let result: String }

    private static let get = UpstreamRequest(method: "GET", target: "/")

    @Test("after a reload requests go to the new upstream, and one that is under way at the old one ends there")
    func reload() async throws {
        let next = try await ScriptedServer { _, _ in .reply("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nnew") }
        let reload = Mutex<(@Sendable () -> Void)?>(nil)
        let old: @Sendable (String, Int) -> ScriptedServer.Reaction = { _, _ in
            // While the request is under way.
            reload.withLock { $0.take() }?()
            return .reply("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nold")
        }
        try await self.with(old) { client, server in
            let url = try UpstreamURL(next.url)
            reload.withLock { $0 = { client.reload(UpstreamConfiguration(url: url)) } }
            #expect(String(buffer: try await client.send(Self.get).get().body) == "old")
            #expect(String(buffer: try await client.send(Self.get).get().body) == "new")
        }
        try await next.stop()
    }

    @Test("that there is no descriptor for a connection is not the upstream's fault, and nothing was sent")
    func noDescriptor() async throws {
        await #expect(processExitsWith: .success) {
            let server = try await ScriptedServer { _, _ in .reply(Self.ok) }
            for host in [server.url, "http://localhost:1"] {
                var configuration = UpstreamConfiguration(url: try UpstreamURL(host))
                configuration.connectTimeout = .milliseconds(500)
                configuration.requestTimeout = .seconds(60)
                let client = UpstreamClient(configuration: configuration)
                var taken: [CInt] = []
                while case let descriptor = dup(0), descriptor >= 0 { taken.append(descriptor) }
                let result = await client.send(Self.get)
                for descriptor in taken { close(descriptor) }
                guard case .failure(let failure) = result else { preconditionFailure("\(result)") }
                precondition(failure.code == .noDescriptor, "\(failure)")
                precondition(failure.signal == .abandoned && !failure.mayHaveTakenEffect)
                await client.shutdown()
            }
            try await server.stop()
        }
    }

    /// A body that no test here sends.
    private typealias OneByOne = AsyncThrowingStream<ByteBuffer, any Error>

    @Test("a whole exchange: body, key, fields and status arrive")
    func exchange() async throws {
        try await self.with({ _, _ in .reply("HTTP/1.1 201 Made\r\nX-A: 1\r\nContent-Length: 4\r\n\r\nbody") }) {
            client,
            server in
            let request = UpstreamRequest(
                method: "PUT",
                target: "/v1/x",
                headers: ["Content-Type": "application/json", "Host": "evil", "x-dexatel-key": "stale"],
                apiKey: Secret("k-123"),
                body: ByteBuffer(string: "{\"data\":{}}")
            )
            let reply = try await client.send(request).get()
            #expect(reply.status == 201)
            #expect(reply.headers["X-A"] == ["1"])
            #expect(String(buffer: reply.body) == "body")
            #expect(reply.framing == .contentLength && reply.isCompletelyFramed)
            let sent = try #require(server.requests.first)
            #expect(sent.hasPrefix("PUT /v1/x HTTP/1.1\r\n"))
            #expect(sent.hasSuffix("\r\n\r\n{\"data\":{}}"))
            let lines = sent.lowercased().split(separator: "\r\n")
            #expect(lines.filter { $0.hasPrefix("x-dexatel-key") } == ["x-dexatel-key: k-123"])
            #expect(lines.filter { $0.hasPrefix("host") } == ["host: 127.0.0.1:\(server.port)"])
            #expect(lines.contains("content-length: 11"))
            #expect(!sent.lowercased().contains("raw-target"))
        }
    }

    @Test(
        "the target arrives byte for byte",
        arguments: [
            "/v1/audiences/a/contacts?filter[search]=a%20b&page_token=%7e~", "/v1/../v2/./x//y/", "/a%2fb%2Fc?",
            "/?a=b+c&d='e\"f|g^h`i{j}\\k",
            "/v1/%zz?%", "/a;b=c,d?x=http://y/?z", "//double", "/:8080@host", "/?", "/",
        ]
    )
    func target(target: String) async throws {
        try await self.with({ _, _ in .reply(Self.ok) }, basePath: "/base%20path/") { client, server in
            let reply = try await client.send(UpstreamRequest(method: "GET", target: target)).get()
            #expect(reply.status == 200)
            #expect(server.requests.first?.hasPrefix("GET /base%20path\(target) HTTP/1.1\r\n") == true)
        }
    }

    @Test("what would not be one request is never sent", arguments: ["", "x", "/a b", "/a\r\nX: y", "/ä", "/a#b", "*"])
    func malformedTarget(target: String) async throws {
        try await self.with({ _, _ in .reply(Self.ok) }) { client, server in
            for request in [
                UpstreamRequest(method: "GET", target: target), UpstreamRequest(method: "GE T", target: "/"),
                UpstreamRequest(method: "CONNECT", target: "/"),
                UpstreamRequest(method: "GET", target: "/", headers: ["X": "secret\r\nY: z"]),
                UpstreamRequest(method: "GET", target: "/", apiKey: Secret("secret\r\n")),
            ] {
                let failure = try self.failure(await client.send(request))
                #expect(failure.code == .invalidRequest)
                #expect(!failure.mayHaveTakenEffect)
                #expect(failure.signal == .abandoned)
                #expect(!failure.description.contains("secret"))
            }
            #expect(server.requests.isEmpty)
        }
    }

    @Test("connections are used again")
    func keepAlive() async throws {
        try await self.with({ _, _ in .reply(Self.ok) }) { client, server in
            for _ in 0..<5 { _ = try await client.send(Self.get).get() }
            #expect(server.requests.count == 5)
            #expect(server.connectionCount == 1)
        }
    }

    @Test("redirects are not followed", arguments: [301, 302, 303, 307, 308])
    func redirect(status: Int) async throws {
        try await self.with({ _, _ in
            .reply("HTTP/1.1 \(status) Moved\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n")
        }) { client, server in
            let reply = try await client.send(Self.get).get()
            #expect(reply.status == status)
            #expect(reply.headers["Location"] == ["/elsewhere"])
            #expect(server.requests.count == 1)
        }
    }

    @Test("bodies are not decompressed, cookies not kept")
    func untouched() async throws {
        try await self.with({ _, _ in
            .reply("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nSet-Cookie: a=b\r\nContent-Length: 3\r\n\r\nabc")
        }) { client, server in
            for _ in 0..<2 {
                let reply = try await client.send(Self.get).get()
                #expect(String(buffer: reply.body) == "abc")
            }
            #expect(server.requests.allSatisfy { !$0.lowercased().contains("cookie") })
        }
    }

    @Test("interim replies are skipped")
    func interim() async throws {
        try await self.with({ _, _ in
            .reply("HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n" + Self.ok)
        }) { client, _ in
            let reply = try await client.send(Self.get).get()
            #expect(reply.status == 200)
        }
    }

    @Test(
        "the end of a body is known or it is not",
        arguments: [
            ("HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", UpstreamReply.Framing.bodiless, ""),
            ("GET", "HTTP/1.1 204 No Content\r\n\r\n", .bodiless, ""),
            ("GET", "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", .bodiless, ""),
            ("GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n", .chunked, "ab"),
            ("GET", "HTTP/1.1 200 OK\r\n\r\n{}", .untilClose, "{}"),
            ("GET", "HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n", .contentLength, ""),
        ]
    )
    func framing(method: String, text: String, framing: UpstreamReply.Framing, body: String) async throws {
        try await self.with({ _, _ in .replyThenClose(text) }) { client, _ in
            let reply = try await client.send(UpstreamRequest(method: method, target: "/")).get()
            #expect(reply.framing == framing)
            #expect(String(buffer: reply.body) == body)
            #expect(reply.isCompletelyFramed == (framing != .untilClose))
        }
    }

    @Test(
        "a reply that ends early is a failure",
        arguments: [
            "", "HTTP/1.1 200", "HTTP/1.1 200 OK\r\nContent-Len", "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabcde\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab",
        ]
    )
    func truncated(text: String) async throws {
        try await self.with({ _, _ in .replyThenClose(text) }) { client, server in
            let failure = try self.failure(await client.send(Self.get))
            #expect(failure.code == .connectionReset || failure.code == .malformedReply)
            #expect(failure.mayHaveTakenEffect)
            #expect(failure.signal == .broken)
            #expect(server.requests.count == 1, "never sent twice")
        }
    }

    @Test("a reset within a reply is a failure, even where only the end of the connection ends the body")
    func reset() async throws {
        for head in ["HTTP/1.1 200 OK\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n", ""] {
            try await self.with({ _, _ in .replyThenReset(head + "{}") }) { client, _ in
                let failure = try self.failure(await client.send(Self.get))
                #expect(failure.mayHaveTakenEffect)
                #expect(failure.signal == .broken)
            }
        }
    }

    @Test(
        "garbage is a malformed reply",
        arguments: [
            "SSH-2.0-OpenSSH_9.2\r\n\r\n", "HTTP/1.1 abc\r\n\r\n", "\u{0}\u{1}\u{2}\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{} ",
            "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n{}",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        ]
    )
    func garbage(text: String) async throws {
        try await self.with({ _, _ in .reply(text) }) { client, _ in
            let failure = try self.failure(await client.send(Self.get))
            #expect(failure.code == .malformedReply)
            #expect(failure.mayHaveTakenEffect)
            #expect(failure.signal == .broken)
        }
    }

    @Test("a reply that nobody asked for costs its connection and nothing else")
    func unsolicited() async throws {
        try await self.with({ _, number in .reply(number == 1 ? Self.ok + Self.ok + "junk" : Self.ok) }) {
            client,
            server in
            let first = try await client.send(Self.get).get()
            #expect(first.status == 200)
            try await server.allConnectionsClosed()
            // The pool may learn of the closing only by trying; that costs one attempt.
            var second = await client.send(Self.get)
            if case .failure(let failure) = second {
                #expect(failure.code == .connectionReset)
                second = await client.send(Self.get)
            }
            #expect(try second.get().status == 200)
            #expect(server.connectionCount == 2)
        }
    }

    @Test("a refused connection is unreachable and without effect")
    func refused() async throws {
        let server = try await ScriptedServer { _, _ in .silence }
        let url = try UpstreamURL(server.url)
        try await server.stop()
        let client = UpstreamClient(configuration: UpstreamConfiguration(url: url))
        for _ in 0..<3 {
            let failure = try self.failure(await client.send(Self.get))
            #expect(failure.code == .unreachable)
            #expect(failure.isConnectFailure)
            #expect(!failure.mayHaveTakenEffect)
            #expect(failure.signal == .unreachable)
            #expect(failure.message.contains("127.0.0.1:\(url.port)"))
            #expect(failure.message.lowercased().contains("refused"))
        }
        await client.shutdown()
    }

    @Test("a host without an address is unreachable")
    func noAddress() async throws {
        // RFC 6761 §6.4: never resolves.
        let client = UpstreamClient(configuration: UpstreamConfiguration(url: try UpstreamURL("https://relay.invalid")))
        let failure = try self.failure(await client.send(Self.get))
        #expect(failure.code == .unreachable)
        #expect(!failure.mayHaveTakenEffect)
        await client.shutdown()
    }

    @Test("TLS with a server that speaks none is unreachable and without effect")
    func noTLS() async throws {
        try await self.with({ _, _ in .silence }) { _, server in
            var configuration = UpstreamConfiguration(url: try UpstreamURL("https://127.0.0.1:\(server.port)"))
            configuration.connectTimeout = .milliseconds(200)
            let secure = UpstreamClient(configuration: configuration)
            // The handshake's first bytes hold no empty line, so the server waits for more until the time is up.
            let failure = try self.failure(await secure.send(Self.get))
            #expect(failure.code == .unreachable)
            #expect(!failure.mayHaveTakenEffect)
            await secure.shutdown()
        }
    }

    @Test(
        "a server that never finishes is a timeout with an unknown outcome, and its connection is closed",
        arguments: ["", "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc"]
    )
    func blackHole(beginning: String) async throws {
        try await self.with(
            { _, _ in beginning.isEmpty ? .silence : .reply(beginning) },
            configure: { $0.requestTimeout = .milliseconds(200) }
        ) { client, server in
            let failure = try self.failure(await client.send(Self.get))
            #expect(failure.code == .timeout)
            #expect(failure.mayHaveTakenEffect)
            #expect(failure.signal == .timeout)
            try await server.allConnectionsClosed()
        }
    }

    @Test(
        "a cancelled request has an unknown outcome, and its connection is closed",
        arguments: ["", "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc"]
    )
    func cancelled(beginning: String) async throws {
        let (arrived, arrival) = AsyncStream.makeStream(of: Void.self)
        try await self.with({ _, _ in
            arrival.yield()
            return beginning.isEmpty ? .silence : .reply(beginning)
        }) { client, server in
            let sending = Task { await client.send(Self.get) }
            for await _ in arrived { break }
            sending.cancel()
            let failure = try self.failure(await sending.value)
            #expect(failure.code == .cancelled)
            #expect(failure.mayHaveTakenEffect)
            #expect(failure.signal == .abandoned)
            try await server.allConnectionsClosed()
        }
    }

    @Test("a reply above the bound is refused where its length says so")
    func tooLong() async throws {
        let long = "HTTP/1.1 200 OK\r\nContent-Length: 1001\r\n\r\n" + String(repeating: "x", count: 1001)
        try await self.with({ _, _ in .reply(long) }) { client, _ in
            let failure = try self.failure(await client.send(Self.get, maxReplyBytes: 1000))
            #expect(failure.code == .replyTooLarge)
            #expect(failure.mayHaveTakenEffect)
            #expect(failure.signal == .answered(status: 200))
        }
    }

    @Test("a reply without end is refused at the bound, and its connection is closed")
    func endless() async throws {
        try await self.with({ _, _ in .endless }) { client, server in
            let failure = try self.failure(await client.send(Self.get, maxReplyBytes: 1000))
            #expect(failure.code == .replyTooLarge)
            #expect(failure.signal == .answered(status: 200))
            try await server.allConnectionsClosed()
        }
    }

    @Test("a reply of exactly the bound is taken")
    func exactly() async throws {
        let whole = "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n" + String(repeating: "x", count: 1000)
        try await self.with({ _, _ in .reply(whole) }) { client, _ in
            let reply = try await client.send(Self.get, maxReplyBytes: 1000).get()
            #expect(reply.body.readableBytes == 1000)
        }
    }

    @Test("no more connections than allowed; who waits too long or comes too late is told so")
    func saturation() async throws {
        let (arrived, arrival) = AsyncStream.makeStream(of: Void.self)
        try await self.with(
            { _, _ in
                arrival.yield()
                return .silence
            },
            configure: {
                $0.maxConnections = 1
                $0.maxWaitingRequests = 0
            }
        ) { client, server in
            let first = Task { await client.send(Self.get) }
            for await _ in arrived { break }
            let failure = try self.failure(await client.send(Self.get))
            #expect(failure.code == .saturated)
            #expect(!failure.mayHaveTakenEffect)
            #expect(failure.signal == .abandoned)
            #expect(server.connectionCount == 1)
            first.cancel()
            _ = await first.value
        }
    }

    @Test("requests beyond the limit of connections wait their turn and all get there")
    func waiting() async throws {
        try await self.with({ _, _ in .reply(Self.ok) }, configure: { $0.maxConnections = 2 }) { client, server in
            await withTaskGroup(of: Bool.self) { group in
                for _ in 0..<50 {
                    group.addTask { (try? await client.send(Self.get).get().status) == 200 }
                }
                for await isFine in group { #expect(isFine) }
            }
            #expect(server.requests.count == 50)
            #expect(server.connectionCount <= 2)
        }
    }

    @Test("after shutdown nothing is sent, and a second shutdown does no harm")
    func shutdown() async throws {
        try await self.with({ _, _ in .reply(Self.ok) }) { client, server in
            await client.shutdown()
            let failure = try self.failure(await client.send(Self.get))
            #expect(failure.code == .shutdown)
            #expect(!failure.mayHaveTakenEffect)
            #expect(server.requests.isEmpty)
        }
    }
}
