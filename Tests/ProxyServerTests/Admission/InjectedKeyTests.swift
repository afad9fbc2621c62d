import DexatelAPI
import NIOCore
import Outbox
import Testing

@testable import ProxyServer

/// Requests that the relay makes with its own key, over sockets.
@Suite("The relay's own key")
struct InjectedKeyTests {
    private static let token = "a-token-of-some-length"
    private static let authorization = "Authorization: Bearer \(token)\r\n"

    private func withInjection(_ body: (_ port: Int, _ parts: TestParts, _ upstream: TestUpstream) async throws -> Void)
        async throws
    {
        try await withUpstream { peer, _ in
            try await peer.write(
                Reads.reply(Reads.contactBody("Ada"), "Content-Type: application/json\r\nCache-Control: max-age=60\r\n")
            )
            return true
        } _: { upstream in
            try await withServer(upstream: upstream.url, deliversAtOnce: true) { server, _ in
                server.clients.injectedKey = Secret("the-relay's")
                server.clients.token = Secret(Self.token)
            } _: { port, parts in
                try await body(port, parts, upstream)
            }
        }
    }

    @Test("reads and what passes through carry it, and not the token")
    func forwarded() async throws {
        try await withInjection { port, _, upstream in
            let read = try await RawClient.exchange(port: port, Reads.get(key: nil, fields: Self.authorization))
            #expect(read.status == 200)
            // Authorization that was for the relay does not keep a reply from being stored.
            let again = try await RawClient.exchange(port: port, Reads.get(key: nil, fields: Self.authorization))
            #expect(again.cacheStatus.hasPrefix("contact-relay; hit"))
            let post = Reads.request("POST", "/v1/messages", key: nil, Self.authorization + "Content-Length: 0\r\n")
            #expect(try await RawClient.exchange(port: port, post).status == 200)
            #expect(upstream.requests.count == 2)
            for head in upstream.requests {
                #expect(head.contains("X-Dexatel-Key: the-relay's\r\n"))
                #expect(!head.lowercased().contains("authorization") && !head.contains(Self.token))
            }
        }
    }

    @Test("writes are made with it, and their receipts are its")
    func write() async throws {
        try await withInjection { port, parts, _ in
            let body = #"{"data":{"first_name":"Ada"}}"#
            let put = Reads.request(
                "PUT",
                Reads.target,
                key: nil,
                Self.authorization + "Content-Type: application/json\r\nPrefer: respond-async\r\n"
                    + "Content-Length: \(body.utf8.count)\r\n"
            )
            let answer = try await RawClient.exchange(port: port, put + body)
            #expect(answer.status == 202)
            let receipt = "/_relay/writes/" + (answer.field("Contact-Relay-Write") ?? "")
            let shown = Reads.request("GET", receipt, key: nil, Self.authorization)
            #expect(try await RawClient.exchange(port: port, shown).status == 200)
            let id = try #require(answer.field("Contact-Relay-Write").flatMap { WriteID($0) })
            let (own, other) = (Secret("the-relay's"), Secret("another"))
            #expect(try await parts.outbox.receipt(id, for: parts.outbox.keys.key(for: own)) != nil)
            #expect(try await parts.outbox.receipt(id, for: parts.outbox.keys.key(for: other)) == nil)
        }
    }

    @Test("without injection Authorization is the upstream's, unless there is a token")
    func ownAuthorization() async throws {
        try await withUpstream { peer, _ in
            try await peer.write(Reads.reply("{}"))
            return true
        } _: { upstream in
            try await withServer(upstream: upstream.url) { port, _ in
                let post = Reads.request("POST", "/v1/messages", Self.authorization + "Content-Length: 0\r\n")
                let answer = try await RawClient.exchange(port: port, post)
                #expect(answer.status == 200)
                #expect(upstream.requests.first?.contains(Self.authorization) == true)
            }
            try await withServer(upstream: upstream.url) { server, _ in
                server.clients.token = Secret(Self.token)
            } _: { port, _ in
                let post = Reads.request("POST", "/v1/messages", Self.authorization + "Content-Length: 0\r\n")
                let answer = try await RawClient.exchange(port: port, post)
                #expect(answer.status == 200)
                #expect(upstream.requests.last?.contains("X-Dexatel-Key: one\r\n") == true)
                #expect(upstream.requests.last?.contains(Self.token) == false)
            }
        }
    }
}
