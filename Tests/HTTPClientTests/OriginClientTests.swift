import NIOCore
import NIOHTTP1
import TestSupport
import Testing

@testable import HTTPClient

@Suite("Origin client")
struct OriginClientTests {
    private static let ok = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"

    private static func client(port: Int, host: String = "127.0.0.1") -> OriginClient {
        var configuration = OriginConfiguration(endpoint: .host(host, port: port), authority: "\(host):\(port)")
        configuration.connectTimeout = .seconds(30)
        configuration.requestTimeout = .seconds(60)
        return OriginClient(configuration)
    }

    private static let get = OutboundRequest(method: "GET", target: "/")

    @Test(
        "every way to frame a reply works over a socket",
        arguments: ReplyParserTests.wholeCases.filter { $0.rest == 0 }
    )
    func framings(expected: ReplyParserTests.Case) async throws {
        let server = try await ScriptedServer { _, _ in .replyThenClose(expected.text) }
        let client = Self.client(port: server.port)
        let request = OutboundRequest(method: expected.isHead ? "HEAD" : "GET", target: "/")
        let reply = try await client.send(request, maxReplyBytes: 1000).get()
        #expect(reply.head.status == expected.status)
        #expect(String(buffer: reply.body) == expected.body)
        await client.shutdown()
        try await server.stop()
    }

    @Test("what is no reply fails over a socket", arguments: ReplyParserTests.refusedCases)
    func refused(expected: ReplyParserTests.Case) async throws {
        let server = try await ScriptedServer { _, _ in .replyThenClose(expected.text) }
        let client = Self.client(port: server.port)
        let result = await client.send(Self.get, maxReplyBytes: 1000)
        #expect(throws: ExchangeFailure.self) { try result.get() }
        await client.shutdown()
        try await server.stop()
    }

    @Test("a name with addresses that refuse and one that answers is reached")
    func names() async throws {
        let server = try await ScriptedServer { _, _ in .reply(Self.ok) }
        let client = Self.client(port: server.port, host: "localhost")
        #expect(try await client.send(Self.get, maxReplyBytes: 1000).get().head.status == 200)
        await client.shutdown()
        try await server.stop()
    }

    @Test("the families of addresses take turns, the system's first choice first")
    func interleaving() throws {
        let addresses = try ["::1", "::2", "::3", "127.0.0.1"].map { try SocketAddress(ipAddress: $0, port: 1) }
        let turns = AddressResolver.interleaved(addresses).compactMap(\.ipAddress)
        #expect(turns == ["::1", "127.0.0.1", "::2", "::3"])
    }

    @Test("many requests at once all get their own reply")
    func many() async throws {
        let server = try await ScriptedServer { request, _ in
            let target = request.split(separator: " ")[1]
            return .reply("HTTP/1.1 200 OK\r\nContent-Length: \(target.utf8.count)\r\n\r\n\(target)")
        }
        let client = Self.client(port: server.port)
        try await withThrowingTaskGroup(of: Void.self) { group in
            for number in 0..<300 {
                group.addTask {
                    let request = OutboundRequest(method: "GET", target: "/\(number)", traffic: .read)
                    let reply = try await client.send(request, maxReplyBytes: 100).get()
                    #expect(String(buffer: reply.body) == "/\(number)")
                }
            }
            try await group.waitForAll()
        }
        #expect(server.connectionCount <= 32)
        #expect(client.exchanges == 0)
        await client.shutdown()
        try await server.stop()
    }
}
