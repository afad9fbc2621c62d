import Outbox
import Testing

@testable import ProxyServer

@Suite struct KeyLimitTests {
    @Test func `a write with one new key too many is refused before anything is stored, and says when to come back`()
        async throws
    {
        try await withServer(upstream: "http://127.0.0.1:9") { port, parts in
            var configuration = OutboxConfiguration(stateDirectory: parts.directory.path)
            configuration.maxUnverifiedKeys = 1
            parts.outbox.reload(configuration)
            #expect(try await RawClient.exchange(port: port, Reads.put("", key: "one")).status == 202)
            let refused = try await RawClient.exchange(port: port, Reads.put("", key: "two"))
            #expect(refused.status == 503 && refused.field("Contact-Relay-Error") == "key_limit")
            #expect(refused.field("Retry-After") == "5")
            #expect(try await RawClient.exchange(port: port, Reads.put("", key: "one")).status == 202)
            #expect(parts.outbox.committedCounts.accepted == 2)
        }
    }
}
