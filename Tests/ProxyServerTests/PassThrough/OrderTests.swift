import Outbox
import TestSupport
import Testing

@testable import ProxyServer

/// What pass-through does about writes that are not delivered yet.
@Suite("Pass-through beside pending writes")
struct OrderTests {
    private static let contact =
        "/v1/audiences/6a0d5bd5-8c4b-4d3a-9b37-0c6a3c3a4a01/contacts/0f8fad5b-d9cb-469f-a165-70867728950e"
    private static let key = "X-Dexatel-Key: secret\r\n"

    private static func put(_ path: String = contact) -> String {
        "PUT \(path) HTTP/1.1\r\nHost: localhost\r\n\(key)Content-Type: application/json\r\nPrefer: respond-async\r\n"
            + "Content-Length: 2\r\n\r\n{}"
    }

    private static func post(_ prefer: String = "", method: String = "POST", path: String = "/v1/messages") -> String {
        "\(method) \(path) HTTP/1.1\r\nHost: localhost\r\n\(key)\(prefer)Content-Length: 0\r\n\r\n"
    }

    private func withRelay(
        maxWaitMilliseconds: Int64 = 3_600_000,
        _ body: (_ port: Int, _ parts: TestParts, _ upstream: TestUpstream) async throws -> Void
    ) async throws {
        try await withUpstream { peer, _ in
            try await peer.write("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
            return true
        } _: { upstream in
            try await withServer(upstream: upstream.url) { server, _ in
                server.maxReplyWaitMilliseconds = maxWaitMilliseconds
            } _: { port, parts in
                try await body(port, parts, upstream)
            }
        }
    }

    private func deliver(_ parts: TestParts) {
        parts.transport.open()
        parts.outbox.upstreamRecovered()
    }

    @Test("pass-through overtakes the key's pending writes and says so; other keys' do not count")
    func pendingHeader() async throws {
        try await withRelay { port, parts, _ in
            #expect(try await RawClient.exchange(port: port, Self.put()).status == 202)
            let own = try await RawClient.exchange(port: port, Self.post())
            #expect(own.status == 200 && own.field("Contact-Relay-Pending") == "1")
            let other = try await RawClient.exchange(
                port: port,
                "POST /v1/messages HTTP/1.1\r\nHost: localhost\r\nX-Dexatel-Key: other\r\nContent-Length: 0\r\n\r\n"
            )
            #expect(other.status == 200 && other.field("Contact-Relay-Pending") == nil)
            deliver(parts)
            try await eventually("the delivery") { parts.outbox.committedCounts.delivered == 1 }
            try await eventually("the reply without the field") {
                try await RawClient.exchange(port: port, Self.post()).field("Contact-Relay-Pending") == nil
            }
        }
    }

    @Test("an unsafe request to a contact does not overtake its lane")
    func contactWithPendingWrites() async throws {
        try await withRelay { port, parts, upstream in
            let patch = Self.post(method: "PATCH", path: Self.contact)
            #expect(try await RawClient.exchange(port: port, patch).status == 200)
            #expect(try await RawClient.exchange(port: port, Self.put()).status == 202)
            let refused = try await RawClient.exchange(port: port, patch)
            #expect(refused.status == 503)
            #expect(refused.field("Contact-Relay-Error") == "contact_has_pending_writes")
            #expect(refused.field("Retry-After") != nil)
            #expect(upstream.requests.count == 1)
            let elsewhere = Self.contact.dropLast() + "f"
            let free = Self.post(method: "PATCH", path: String(elsewhere))
            #expect(try await RawClient.exchange(port: port, free).status == 200)
            deliver(parts)
            try await eventually("the lane's end") {
                try await RawClient.exchange(port: port, patch).status == 200
            }
        }
    }

    @Test("a barrier lets the request go when the key's writes are delivered")
    func barrier() async throws {
        try await withRelay { port, parts, upstream in
            for last in "0123" {
                let path = String(Self.contact.dropLast()) + String(last)
                #expect(try await RawClient.exchange(port: port, Self.put(path)).status == 202)
            }
            try await RawClient.with(port: port) { client in
                try await client.send(Self.post("Prefer: relay-barrier\r\n"))
                // Another request on another connection goes by meanwhile: the event loop is free.
                #expect(try await RawClient.exchange(port: port, Self.post()).status == 200)
                #expect(upstream.requests.count == 1)
                deliver(parts)
                let answer = try await client.reply()
                #expect(answer.status == 200 && answer.field("Preference-Applied") == "relay-barrier")
                #expect(answer.field("Contact-Relay-Pending") == nil)
                #expect(parts.outbox.committedCounts.delivered == 4)
            }
        }
    }

    @Test("a barrier with nothing pending holds nobody up")
    func openBarrier() async throws {
        try await withRelay { port, _, _ in
            let answer = try await RawClient.exchange(port: port, Self.post("Prefer: relay-barrier\r\n"))
            #expect(answer.status == 200 && answer.field("Preference-Applied") == "relay-barrier")
        }
    }

    @Test("a barrier gives up in time, and nothing is sent")
    func barrierTimeout() async throws {
        try await withRelay(maxWaitMilliseconds: 20) { port, _, upstream in
            #expect(try await RawClient.exchange(port: port, Self.put()).status == 202)
            let answer = try await RawClient.exchange(port: port, Self.post("Prefer: relay-barrier\r\n"))
            #expect(answer.status == 503 && answer.field("Contact-Relay-Error") == "barrier_timeout")
            #expect(answer.field("Retry-After") != nil)
            #expect(upstream.requests.isEmpty)
        }
    }

    @Test("a barrier waits no longer than the client wants")
    func impatientBarrier() async throws {
        try await withRelay { port, _, upstream in
            #expect(try await RawClient.exchange(port: port, Self.put()).status == 202)
            let answer = try await RawClient.exchange(port: port, Self.post("Prefer: relay-barrier, wait=0\r\n"))
            #expect(answer.status == 503 && answer.field("Contact-Relay-Error") == "barrier_timeout")
            #expect(upstream.requests.isEmpty)
        }
    }
}
