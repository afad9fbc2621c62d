import DexatelAPI
import HTTPWire
import NIOCore
import NIOEmbedded
import NIOHTTP1
import Outbox
import Testing
import Upstream

@testable import ProxyServer

/// The guard in its place: before every kind of request, on the connection's loop.
@Suite("Admission")
struct AdmissionTests {
    /// A connection to a server whose router is the real one.
    private final class Fixture {
        let channel = EmbeddedChannel()

        init(
            from peer: ConnectionPeer = .network,
            _ adjust: (inout ClientGuardSettings) -> Void = { _ in }
        ) throws {
            var configuration = ServerConfiguration()
            adjust(&configuration.clients)
            let core = ConnectionFixture.parts.core(configuration)
            let loop = EventLoopContext(eventLoop: channel.eventLoop, wallSeconds: { 784_111_777 })
            let pipeline = channel.pipeline.syncOperations
            try pipeline.addHandler(ConnectionHandler(server: core, loop: loop, router: core.router, peer: peer))
            try channel.connect(to: SocketAddress(unixDomainSocketPath: "/fixture")).wait()
        }

        /// Sends a request and returns what is answered at once.
        func exchange(_ text: String) throws -> String {
            channel.pipeline.fireChannelRead(ByteBuffer(string: text))
            channel.pipeline.fireChannelReadComplete()
            var answer = ""
            while let bytes = try channel.readOutbound(as: ByteBuffer.self) { answer += String(buffer: bytes) }
            return answer
        }
    }

    private static func slug(_ answer: String) -> String? {
        answer.split(separator: "\r\n").first { $0.hasPrefix("Contact-Relay-Error: ") }
            .map { String($0.dropFirst("Contact-Relay-Error: ".count)) }
    }

    /// Every kind of request that is told apart by its line.
    private static let lines = [
        "GET \(Reads.target)", "HEAD \(Reads.target)", "GET \(Reads.list)", "GET /v1/messages", "GET /",
        "PUT \(Reads.target)", "DELETE \(Reads.target)", "PUT /v1/audiences/x/contacts/y", "PATCH \(Reads.target)",
        "POST /v1/messages", "OPTIONS /v1/messages", "OPTIONS *", "OPTIONS \(Reads.target)", "PUT \(Reads.target)/",
        "TRACE /", "GET http://localhost/v1/messages", "PUT http://localhost\(Reads.target)",
        "GET /_relay/status", "GET /_relay/metrics", "GET /_relay/writes/x", "OPTIONS /_relay/status",
        "GET /_relay/nothing",
    ]
    private static let health = ["GET /_relay/live", "GET /_relay/ready"]

    @Test("no kind of request gets past Host, Origin and Forwarded", arguments: lines + health)
    func guards(line: String) throws {
        for (field, status, slug) in [
            ("Host: evil.example", 421, "host_not_allowed"), ("X-None: 1", 400, "host_malformed"),
            ("Host: localhost\r\nhost: localhost", 400, "host_malformed"),
            ("Host: localhost\r\nOrigin: http://evil.example", 403, "origin_not_allowed"),
            ("Host: localhost\r\nOrigin: null", 403, "origin_not_allowed"),
            ("Host: localhost\r\nSec-Fetch-Site: cross-site", 403, "origin_not_allowed"),
            ("Host: localhost\r\nX-Forwarded-For: 203.0.113.5", 403, "forwarded_not_allowed"),
            (
                "Host: localhost\r\nVia: 1.1 other, 1.1 contact-relay \(HeaderHygiene.instance)", 508,
                "forwarding_loop"
            ),
        ] {
            let answer = try Fixture().exchange("\(line) HTTP/1.1\r\n\(field)\r\nX-Dexatel-Key: k\r\n\r\n")
            #expect(answer.statuses == [status] && Self.slug(answer) == slug, "\(field)")
        }
        #expect(ConnectionFixture.parts.outbox.committedCounts.accepted == 0)
    }

    @Test("no kind of request gets past a key that is none; health does not look at it", arguments: lines)
    func malformedKey(line: String) throws {
        for key in ["caf\u{E9}", "cafe\u{301}", "a b"] {
            let request = "HTTP/1.1\r\nHost: localhost\r\nX-Dexatel-Key: \(key)\r\n\r\n"
            let answer = try Fixture().exchange("\(line) \(request)")
            #expect(answer.statuses == [400] && Self.slug(answer) == "key_malformed", "\(key)")
            #expect(!answer.contains(key))
            #expect(try Fixture().exchange("GET /_relay/live \(request)").statuses == [200])
        }
    }

    @Test("no kind of request but for health gets past the token", arguments: lines)
    func token(line: String) throws {
        for (field, slug) in [("X-None: 1", "token_missing"), ("Authorization: Bearer wrong", "token_refused")] {
            let fixture = try Fixture { $0.token = Secret("the-right-one") }
            let answer = try fixture.exchange(
                "\(line) HTTP/1.1\r\nHost: localhost\r\nX-Dexatel-Key: k\r\n\(field)\r\n\r\n"
            )
            #expect(answer.statuses == [401] && Self.slug(answer) == slug, "\(field)")
            #expect(answer.contains("\r\nWWW-Authenticate: Bearer realm=\"contact-relay\""))
            #expect(!answer.contains("the-right-one") && !answer.contains("wrong"))
        }
    }

    @Test("health is told to everybody who comes by an allowed way", arguments: health)
    func healthNeedsNoToken(line: String) throws {
        let fixture = try Fixture(from: .local(uid: 1)) {
            $0.token = Secret("the-right-one")
            $0.allowedUIDs = [1000]
        }
        #expect(try fixture.exchange("\(line) HTTP/1.1\r\nHost: localhost\r\n\r\n").statuses == [200])
    }

    @Test("no kind of request with a key of its own is let in where the relay sends its own", arguments: lines)
    func ownKey(line: String) throws {
        let fixture = try Fixture(from: .local(uid: 7)) {
            $0.injectedKey = Secret("the-relay's")
            $0.allowedUIDs = [7]
        }
        let answer = try fixture.exchange("\(line) HTTP/1.1\r\nHost: localhost\r\nX-Dexatel-Key: mine\r\n\r\n")
        #expect(answer.statuses == [403] && Self.slug(answer) == "key_not_accepted")
        #expect(!answer.contains("mine") && !answer.contains("the-relay's"))
    }

    @Test("a user who is not allowed gets nothing from the Unix socket", arguments: lines)
    func otherUser(line: String) throws {
        let fixture = try Fixture(from: .local(uid: 8)) { $0.allowedUIDs = [7] }
        let answer = try fixture.exchange("\(line) HTTP/1.1\r\nHost: localhost\r\nX-Dexatel-Key: k\r\n\r\n")
        #expect(answer.statuses == [403] && Self.slug(answer) == "peer_not_allowed")
    }

    @Test("every request of a connection is looked at, not only the first")
    func everyRequest() throws {
        let fixture = try Fixture()
        let get = { (host: String) in "GET /_relay/live HTTP/1.1\r\nHost: \(host)\r\n\r\n" }
        let answers = try fixture.exchange(
            get("localhost") + get("localhost") + get("evil.example") + get("localhost") + get("127.0.0.1")
                + get("evil.example")
        )
        #expect(answers.statuses == [200, 200, 421, 200, 200, 421])
        let twice = "GET /_relay/live HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\n\r\n"
        #expect(try fixture.exchange(twice).statuses == [400])
    }

    @Test("a host that one guard has allowed is looked at anew by another")
    func memo() throws {
        let guards = ["one.example", "another.example"].map { host in
            var configuration = ServerConfiguration()
            configuration.clients.allowedHosts = [host]
            return ClientGuard(configuration, ConnectionFixture.parts.outbox.keys)
        }
        let fields = ClientFields(RequestHead(.GET, "/", ["Host": "one.example"]))
        var memo = HostMemo()
        func admit(_ guardian: ClientGuard) throws(ClientRefusal) {
            _ = try guardian.admit(fields, isHTTP10: false, from: .network, memo: &memo) { nil }
        }
        for _ in 0..<2 { try admit(guards[0]) }
        #expect(memo.holds(fields, guards[0]) && !memo.holds(fields, guards[1]))
        #expect(throws: ClientRefusal.hostNotAllowed) { try admit(guards[1]) }
    }

    @Test("the host of a target in absolute form counts, as it stands for Host")
    func absoluteForm() throws {
        for (target, statuses) in [
            ("http://localhost/_relay/live", [200]), ("HTTP://127.0.0.1:80/_relay/live", [200]),
            ("http://evil.example/_relay/live", [421]), ("http://user@localhost/_relay/live", [400]),
        ] {
            let fixture = try Fixture()
            let answer = try fixture.exchange("GET \(target) HTTP/1.1\r\nHost: localhost\r\n\r\n")
            #expect(answer.statuses == statuses, "\(target)")
        }
        let fixture = try Fixture()
        let answer = try fixture.exchange("GET http://localhost/_relay/live HTTP/1.1\r\nHost: evil.example\r\n\r\n")
        #expect(answer.statuses == [421])
    }

    @Test("a write that waits to send its body is refused before that, and its connection ends")
    func expectation() throws {
        let fixture = try Fixture { $0.token = Secret("the-right-one") }
        let answer = try fixture.exchange(
            "PUT \(Reads.target) HTTP/1.1\r\nHost: localhost\r\nX-Dexatel-Key: k\r\nContent-Type: application/json\r\n"
                + "Content-Length: 2\r\nExpect: 100-continue\r\n\r\n"
        )
        #expect(answer.statuses == [401] && answer.contains("\r\nConnection: close\r\n"))
    }
}
