import DexatelAPI
import Outbox
import Synchronization
import TestSupport
import Testing

@testable import ProxyServer

/// A write that is sent again with its `Idempotency-Key` is owed its receipt, also where no other would be taken (IETF
/// draft).
@Suite struct RepeatedWriteTests {
    /// A state in which new writes are refused.
    enum Refusal: String, Sendable, CaseIterable {
        case queueFull = "queue_full"
        case deadLimit = "dead_limit"
        case unverifiedKeyLimit = "unverified_key_limit"
        case diskLow = "disk_low"
    }

    private static func put(_ body: String, idempotencyKey: String?, method: String = "PUT") -> String {
        let field = idempotencyKey.map { "Idempotency-Key: \($0)\r\n" } ?? ""
        return Reads.request(
            method,
            Reads.target,
            "\(field)Content-Type: application/json\r\nPrefer: respond-async\r\nContent-Length: \(body.utf8.count)\r\n"
        ) + body
    }

    private static func expect(_ reply: RawClient.RawReply, repeats first: RawClient.RawReply) {
        #expect(reply.status == first.status && reply.body == first.body)
        #expect(reply.field("Contact-Relay-Write") == first.field("Contact-Relay-Write"))
        #expect(reply.field("Location") == first.field("Location"))
        #expect(reply.field("Contact-Relay-Error") == nil && reply.field("Retry-After") == nil)
    }

    @Test func `an Idempotency-Key that tells no write from another is refused, and nothing is stored`() async throws {
        try await withServer(upstream: "http://127.0.0.1:9") { port, parts in
            for (method, key) in [("PUT", ""), ("DELETE", ""), ("PUT", "\"\""), ("PUT", "a\r\nIdempotency-Key: b")] {
                let reply = try await RawClient.exchange(
                    port: port,
                    Self.put("{}", idempotencyKey: key, method: method)
                )
                #expect(reply.status == 400 && reply.field("Contact-Relay-Error") == "idempotency_key_invalid")
            }
            #expect(parts.outbox.committedCounts.accepted == 0)
        }
    }

    @Test(arguments: Refusal.allCases)
    func `a repeated write gets its receipt where a new one is refused`(_ refusal: Refusal) async throws {
        try await withServer(upstream: "http://127.0.0.1:9") { port, parts in
            func send(_ body: String, _ idempotencyKey: String?) async throws -> RawClient.RawReply {
                try await RawClient.exchange(port: port, Self.put(body, idempotencyKey: idempotencyKey))
            }
            let first = try await send("{}", "k")
            #expect(first.status == 202)
            var configuration = OutboxConfiguration(stateDirectory: parts.directory.path)
            switch refusal {
            case .queueFull: configuration.maxPending = 1
            case .deadLimit: configuration.maxDead = 0
            case .unverifiedKeyLimit: configuration.maxPendingUnverifiedPerKey = 1
            case .diskLow: configuration.minFreeDiskBytes = .max
            }
            parts.outbox.reload(configuration)
            try await eventually("the refusal") {
                try await send("{ }", nil).field("Contact-Relay-Error") == refusal.rawValue
            }
            let accepted = parts.outbox.committedCounts.accepted
            Self.expect(try await send("{}", "k"), repeats: first)
            #expect(try await send("{ }", "k").field("Contact-Relay-Error") == "idempotency_conflict")
            let new = try await send("{}", "another")
            #expect(new.status == 503 && new.field("Contact-Relay-Error") == refusal.rawValue)
            #expect(new.field("Retry-After") != nil)
            #expect(parts.outbox.committedCounts.accepted == accepted)
        }
    }

    @Test func `a repeated write gets its receipt while its key is held, and a new one 401`() async throws {
        try await withServer(upstream: "http://127.0.0.1:9") { port, parts in
            let first = try await RawClient.exchange(port: port, Self.put("{}", idempotencyKey: "k"))
            #expect(first.status == 202)
            parts.transport.replyStatus.withLock { $0 = 401 }
            parts.transport.replyBody.withLock { $0 = #"{"errors":[{"status":401,"code":0}]}"# }
            parts.transport.open()
            parts.outbox.upstreamRecovered()
            try await eventually("a hold") { parts.outbox.keys.key(for: Secret("one")).isHeld }
            Self.expect(
                try await RawClient.exchange(port: port, Self.put("{}", idempotencyKey: "k")),
                repeats: first
            )
            for idempotencyKey in ["another", nil] {
                let new = try await RawClient.exchange(port: port, Self.put("{}", idempotencyKey: idempotencyKey))
                #expect(new.status == 401 && new.field("Contact-Relay-Error") == "key_refused")
            }
            #expect(parts.outbox.committedCounts.accepted == 1)
        }
    }

    @Test func `a repeated DELETE that was delivered by a 404 is told what its first sender was`() async throws {
        try await withServer(upstream: "http://127.0.0.1:9") { port, parts in
            let delete = Self.put("", idempotencyKey: "k", method: "DELETE")
            let first = try await RawClient.exchange(port: port, delete)
            #expect(first.status == 202)
            parts.transport.replyStatus.withLock { $0 = 404 }
            parts.transport.replyBody.withLock { $0 = #"{"errors":[{"status":404,"code":1351}]}"# }
            parts.transport.open()
            parts.outbox.upstreamRecovered()
            try await eventually("the delivery") { parts.outbox.committedCounts.delivered == 1 }
            Self.expect(try await RawClient.exchange(port: port, delete), repeats: first)
        }
    }

    @Test func `a reply that is not kept whole is repeated as 202 with the receipt`() async throws {
        try await withServer(upstream: "http://127.0.0.1:9", deliversAtOnce: true) { port, parts in
            let put = Self.put("{}", idempotencyKey: "k").replacing("Prefer: respond-async\r\n", with: "")
            for (length, status) in [(1_000, 200), (16_384, 202), (20_000, 202)] {
                let note = String(repeating: "x", count: length - #"{"data":""}"#.utf8.count)
                parts.transport.replyBody.withLock { $0 = #"{"data":"\#(note)"}"# }
                let request = put.replacing("Idempotency-Key: k", with: "Idempotency-Key: k\(length)")
                let first = try await RawClient.exchange(port: port, request)
                #expect(first.status == 200 && first.body.utf8.count == length)
                let again = try await RawClient.exchange(port: port, request)
                #expect(again.status == status)
                #expect(again.field("Contact-Relay-Write") == first.field("Contact-Relay-Write"))
                #expect(status == 202 ? again.body.hasSuffix("}") : again.body == first.body)
            }
        }
    }

    @Test func `a repeated write whose sender saw the upstream's own refusal gets it again`() async throws {
        try await withServer(upstream: "http://127.0.0.1:9", deliversAtOnce: true) { port, parts in
            parts.transport.replyStatus.withLock { $0 = 404 }
            parts.transport.replyBody.withLock { $0 = #"{"errors":[{"status":404,"code":1351}]}"# }
            let delete = Reads.request("DELETE", Reads.target, "Idempotency-Key: k\r\nContent-Length: 0\r\n")
            let first = try await RawClient.exchange(port: port, delete)
            #expect(first.status == 404)
            Self.expect(try await RawClient.exchange(port: port, delete), repeats: first)
        }
    }
}
