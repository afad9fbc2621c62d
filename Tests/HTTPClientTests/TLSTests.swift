import NIOCore
import NIOHTTP1
import NIOPosix
import NIOSSL
import TestSupport
import Testing

@testable import HTTPClient

@Suite("TLS")
struct TLSTests {
    private static let ok = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"

    /// Sends one request to a server and hands out what becomes of it.
    private func exchange(
        _ context: NIOSSLContext,
        trusting authority: TestAuthority,
        host: String = "localhost",
        reply: String = ok,
        closes: Bool = false,
        endsTLS: Bool = true
    ) async throws -> Result<WholeReply, ExchangeFailure> {
        let server = try await TLSServer(context, reply: reply, closes: closes, endsTLS: endsTLS)
        var configuration = OriginConfiguration(
            endpoint: .host(host, port: server.port),
            authority: "\(host):\(server.port)"
        )
        configuration.tls = TLSContexts(authorities: try authority.pem())
        configuration.connectTimeout = .seconds(30)
        configuration.requestTimeout = .seconds(60)
        let client = OriginClient(configuration)
        let result = await client.send(OutboundRequest(method: "GET", target: "/"), maxReplyBytes: 1000)
        await client.shutdown()
        try await server.stop()
        return result
    }

    private func refusal(_ result: Result<WholeReply, ExchangeFailure>) throws -> String {
        guard case .failure(let failure) = result else { return "no failure" }
        #expect(failure.code == .unreachable)
        #expect(!failure.mayHaveTakenEffect)
        #expect(!failure.message.contains("/") && !failure.message.contains(".cc"))
        return failure.message
    }

    @Test(
        "a server with a certificate for its name, or for its address, is asked",
        arguments: ["localhost", "127.0.0.1"]
    )
    func valid(host: String) async throws {
        let authority = try TestAuthority()
        let result = try await self.exchange(try authority.server(), trusting: authority, host: host)
        #expect(try result.get().head.status == 200)
    }

    @Test("an expired certificate is refused, with the day of its end")
    func expired() async throws {
        let authority = try TestAuthority()
        let result = try await self.exchange(try authority.server(days: -1), trusting: authority)
        #expect(try self.refusal(result).contains("its certificate expired on 20"))
    }

    @Test("a certificate for another name is refused, with the names that it has")
    func otherName() async throws {
        let authority = try TestAuthority()
        let context = try authority.server("DNS:api.example,DNS:www.example")
        let message = try self.refusal(try await self.exchange(context, trusting: authority))
        #expect(message.hasSuffix("its certificate is issued for api.example, www.example"))
    }

    @Test("a certificate of an authority that is not trusted is refused")
    func unknownAuthority() async throws {
        let (authority, other) = (try TestAuthority(), try TestAuthority())
        let message = try self.refusal(try await self.exchange(try other.server(), trusting: authority))
        #expect(message.hasSuffix("its certificate is from an unknown authority"))
    }

    @Test("a file without a certificate trusts nobody, and says so")
    func noCertificate() async throws {
        let server = try await ScriptedServer { _, _ in .silence }
        var configuration = OriginConfiguration(endpoint: .host("localhost", port: server.port), authority: "localhost")
        configuration.tls = TLSContexts(authorities: [])
        let client = OriginClient(configuration)
        let result = await client.send(OutboundRequest(method: "GET", target: "/"), maxReplyBytes: 1000)
        #expect(try self.refusal(result).hasSuffix("the file of authorities holds no certificate"))
        await client.shutdown()
        try await server.stop()
    }

    @Test("TLS before 1.2 is refused", arguments: [TLSVersion.tlsv1, .tlsv11])
    func oldVersions(version: TLSVersion) async throws {
        let authority = try TestAuthority()
        let context = try authority.server {
            $0.minimumTLSVersion = .tlsv1
            $0.maximumTLSVersion = version
        }
        let message = try self.refusal(try await self.exchange(context, trusting: authority))
        #expect(message.hasSuffix("it offers neither TLS 1.2 nor 1.3"))
    }

    @Test("TLS 1.2 and 1.3 are spoken", arguments: [TLSVersion.tlsv12, .tlsv13])
    func versions(version: TLSVersion) async throws {
        let authority = try TestAuthority()
        let context = try authority.server {
            $0.minimumTLSVersion = version
            $0.maximumTLSVersion = version
        }
        #expect(try await self.exchange(context, trusting: authority).get().head.status == 200)
    }

    @Test("a server that speaks no TLS is told apart")
    func noTLS() async throws {
        let server = try await ScriptedServer { _, _ in .replyThenClose("HTTP/1.1 400 Bad\r\n\r\n") }
        var configuration = OriginConfiguration(endpoint: .host("localhost", port: server.port), authority: "localhost")
        configuration.tls = TLSContexts(authorities: try TestAuthority().pem())
        configuration.connectTimeout = .milliseconds(300)
        let client = OriginClient(configuration)
        let result = await client.send(OutboundRequest(method: "GET", target: "/"), maxReplyBytes: 1000)
        #expect(try self.refusal(result).contains("TLS"))
        await client.shutdown()
        try await server.stop()
    }

    @Test("a body that only the connection ends is whole if TLS ends with it, and not if it is cut off")
    func halfClosed() async throws {
        let authority = try TestAuthority()
        let reply = "HTTP/1.1 200 OK\r\n\r\n{}"
        let whole = try await self.exchange(try authority.server(), trusting: authority, reply: reply, closes: true)
        #expect(try String(buffer: whole.get().body) == "{}")
        let cut = try await self.exchange(
            try authority.server(),
            trusting: authority,
            reply: reply,
            closes: true,
            endsTLS: false
        )
        #expect(throws: ExchangeFailure.self) { try cut.get() }
    }

    @Test("through a proxy the server's certificate counts, and the proxy gets host, port and credentials")
    func proxy() async throws {
        let authority = try TestAuthority()
        let server = try await TLSServer(try authority.server(), reply: Self.ok)
        for isAdmitted in [true, false] {
            let proxy = try await TestProxy(target: server.port, isAdmitted: isAdmitted)
            var configuration = OriginConfiguration(endpoint: .host("localhost", port: 443), authority: "localhost")
            configuration.tls = TLSContexts(authorities: try authority.pem())
            configuration.connectTimeout = .seconds(30)
            configuration.proxy = .init(host: "127.0.0.1", port: proxy.port, authorization: "Basic dTpw")
            let client = OriginClient(configuration)
            let result = await client.send(OutboundRequest(method: "GET", target: "/"), maxReplyBytes: 1000)
            if isAdmitted {
                #expect(try result.get().head.status == 200)
            } else {
                #expect(try self.refusal(result).contains("the proxy answered 407"))
            }
            #expect(proxy.heads.first?.hasPrefix("CONNECT localhost:443 HTTP/1.1\r\nHost: localhost:443\r\n") == true)
            #expect(proxy.heads.first?.contains("Proxy-Authorization: Basic dTpw\r\n") == true)
            await client.shutdown()
            try await proxy.stop()
        }
        try await server.stop()
    }
}
