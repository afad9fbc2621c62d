import NIOCore
import NIOHTTP1
import TestSupport
import Testing
import Upstream

@Suite("Upstream streams")
struct UpstreamStreamTests {
    private struct BrokenOff: Error {}

    private static func pieces(_ texts: [String], thenFails: Bool = false) -> AsyncThrowingStream<ByteBuffer, any Error>
    {
        AsyncThrowingStream { continuation in
            for text in texts { continuation.yield(ByteBuffer(string: text)) }
            continuation.finish(throwing: thenFails ? BrokenOff() : nil)
        }
    }

    private static let noBody: AsyncThrowingStream<ByteBuffer, any Error>? = nil

    private func client(_ server: ScriptedServer, maxConnections: Int = 4) throws -> UpstreamClient {
        var configuration = UpstreamConfiguration(url: try UpstreamURL(server.url))
        configuration.requestTimeout = .seconds(60)
        configuration.maxConnections = maxConnections
        return UpstreamClient(configuration: configuration)
    }

    @Test("bodies go both ways in pieces, with a length or in chunks", arguments: [Int64(6), nil])
    func bothWays(length: Int64?) async throws {
        let server = try await ScriptedServer { _, _ in
            .reply("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n")
        }
        let client = try self.client(server)
        let request = UpstreamRequest(method: "POST", target: "/v1/messages?x=[1]", headers: ["Content-Length": "99"])
        let stream = try await client.open(request, body: Self.pieces(["123", "456"]), length: length)
        #expect(stream.status == 200)
        var received = ByteBuffer()
        for try await piece in stream.body { received.writeImmutableBuffer(piece) }
        #expect(String(buffer: received) == "abcde")
        let sent = try #require(server.requests.first)
        #expect(sent.hasPrefix("POST /v1/messages?x=[1] HTTP/1.1\r\n"))
        if length == nil {
            #expect(sent.lowercased().contains("transfer-encoding: chunked"))
            #expect(!sent.lowercased().contains("content-length"))
            #expect(sent.hasSuffix("\r\n\r\n3\r\n123\r\n3\r\n456\r\n0\r\n\r\n"))
        } else {
            #expect(sent.lowercased().contains("content-length: 6\r\n"))
            #expect(sent.hasSuffix("\r\n\r\n123456"))
        }
        await client.shutdown()
        try await server.stop()
    }

    @Test("a reply that ends early throws instead of ending")
    func truncated() async throws {
        let server = try await ScriptedServer { _, _ in
            .replyThenClose("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc")
        }
        let client = try self.client(server)
        let stream = try await client.open(UpstreamRequest(method: "GET", target: "/"), body: Self.noBody, length: nil)
        let failure = await #expect(throws: UpstreamFailure.self) {
            for try await _ in stream.body {}
        }
        #expect(failure?.code == .connectionReset)
        await client.shutdown()
        try await server.stop()
    }

    @Test("an app that breaks off its upload breaks off the exchange, and that says nothing about the upstream")
    func brokenUpload() async throws {
        let server = try await ScriptedServer { _, _ in .silence }
        let client = try self.client(server)
        let failure = await #expect(throws: UpstreamFailure.self) {
            _ = try await client.open(
                UpstreamRequest(method: "POST", target: "/"),
                body: Self.pieces(["123"], thenFails: true),
                length: nil
            )
        }
        #expect(failure?.code == .cancelled)
        #expect(failure?.signal == .abandoned)
        try await server.allConnectionsClosed()
        await client.shutdown()
        try await server.stop()
    }

    @Test("a stream holds its place until its end is read, or until it is let go")
    func places() async throws {
        let server = try await ScriptedServer { _, _ in .reply("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}") }
        let client = try self.client(server, maxConnections: 1)
        let request = UpstreamRequest(method: "GET", target: "/")
        var read: [UpstreamStream] = []
        for _ in 0..<3 {
            let stream = try await client.open(request, body: Self.noBody, length: nil)
            for try await _ in stream.body {}
            read.append(stream)
        }
        for _ in 0..<3 {
            _ = try await client.open(request, body: Self.noBody, length: nil)
        }
        #expect(try await client.send(request).get().status == 200)
        #expect(read.map(\.status) == [200, 200, 200])
        await client.shutdown()
        try await server.stop()
    }
}
