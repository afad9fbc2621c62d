import DexatelAPI
import Outbox
import TestSupport
import Testing

@testable import ProxyServer

/// A key that the upstream takes for reads is none that somebody has made up (design §2.3).
@Suite struct VerifiedKeyTests {
    /// A relay that delivers nothing and takes one pending write of each key that never succeeded upstream.
    private func withRelay(
        _ reply: String,
        _ body: (_ port: Int, _ parts: TestParts, _ upstream: TestUpstream) async throws -> Void
    ) async throws {
        try await withUpstream { peer, _ in
            try await peer.write(reply)
            return true
        } _: { upstream in
            try await withServer(upstream: upstream.url) { port, parts in
                var configuration = OutboxConfiguration(stateDirectory: parts.directory.path)
                configuration.maxPendingUnverifiedPerKey = 1
                parts.outbox.reload(configuration)
                try await body(port, parts, upstream)
            }
        }
    }

    private static let json = Reads.reply(Reads.contactBody("Ada"), "Content-Type: application/json\r\n")

    private func writes(_ port: Int, key: String = "one") async throws -> [Int] {
        var statuses: [Int] = []
        for _ in 1...3 {
            statuses.append(try await RawClient.exchange(port: port, Reads.put("", key: key)).status)
        }
        return statuses
    }

    @Test(arguments: [
        Reads.get(), Reads.request("POST", "/v1/messages", "Content-Length: 0\r\n"),
        Reads.request("HEAD", Reads.target),
    ])
    func `a key that the upstream has taken once may write as much as any`(_ request: String) async throws {
        // A reply to HEAD has no body.
        let isHead = request.hasPrefix("HEAD")
        let reply =
            isHead ? "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n" : Self.json
        try await withRelay(reply) { port, parts, _ in
            try await RawClient.with(port: port) { client in
                try await client.send(request)
                try await eventually("the key to be taken") {
                    parts.outbox.keys.unverifiedKeys == 0 && parts.outbox.keys.key(for: Secret("one")).isVerified
                }
            }
            #expect(try await writes(port) == [202, 202, 202])
            #expect(try await writes(port, key: "two") == [202, 503, 503])
            #expect(try await parts.outbox.keySummaries().count == 2)
        }
    }

    @Test func `writes of a key that are pending when it is taken count no more among those of unknown keys`()
        async throws
    {
        try await withRelay(Self.json) { port, parts, _ in
            #expect(try await writes(port) == [202, 503, 503])
            #expect(parts.outbox.keys.unverifiedKeys == 1)
            // Not of the contact, as that has a pending write and nothing cached.
            #expect(try await RawClient.exchange(port: port, Reads.get(Reads.list)).status == 200)
            try await eventually("the key to be taken") { parts.outbox.keys.unverifiedKeys == 0 }
            #expect(try await writes(port) == [202, 202, 202])
        }
    }

    @Test(arguments: [
        ("GET /v1/x", Reads.reply("<html>", "Content-Type: text/html\r\n")), ("GET /v1/x", Reads.reply("")),
        ("GET /health", json), ("OPTIONS /v1/x", json),
        ("GET /v1/x", Reads.reply("{}", status: "401 Unauthorized", "Content-Type: application/json\r\n")),
        ("GET /v1/x", Reads.reply("{}", status: "404 Not Found", "Content-Type: application/json\r\n")),
        ("GET /v1/x", Reads.reply("{}", status: "302 Found", "Content-Type: application/json\r\n")),
    ])
    func `what is no success, or may not be the upstream's own, vouches for no key`(
        _ request: String,
        _ reply: String
    ) async throws {
        try await withRelay(reply) { port, parts, _ in
            let words = request.split(separator: " ")
            _ = try await RawClient.exchange(port: port, Reads.request(String(words[0]), String(words[1])))
            #expect(try await writes(port) == [202, 503, 503])
            #expect(parts.outbox.keys.unverifiedKeys == 1)
        }
    }

    @Test func `replies from the cache ask nobody, and the upstream is not asked for the key's sake`() async throws {
        try await withRelay(Self.json) { port, parts, upstream in
            for _ in 1...5 { #expect(try await RawClient.exchange(port: port, Reads.get()).status == 200) }
            #expect(upstream.requests.count == 1)
            try await eventually("the row") { try await parts.outbox.keySummaries().count == 1 }
        }
    }
}
