import AdminAPI
import Foundation
import NIOHTTP1
import TestSupport
import Testing

extension ProcessTests {
    /// A relay whose `upstream.url` leads back to it (RFC 9110 §7.6.3).
    @Suite struct ForwardingLoopTests {
        @Test("Requests that come back are answered 508, a write is accepted once, and check refuses the configuration")
        func loop() async throws {
            try await withSandbox { sandbox in
                let relay = try ActivatedRelay(in: sandbox)
                let base = "http://127.0.0.1:\(relay.port)"
                let settings = ["listen.port": "\(relay.port)"]
                let check = try await sandbox.finish(
                    "contact-relay",
                    RelayProcess.arguments(of: "check", in: sandbox, upstream: base, settings)
                )
                #expect(check.ending == .exited(78))
                #expect(check.output.contains("where the relay itself listens"))

                try relay.start(RelayProcess.arguments(in: sandbox, upstream: base, settings))
                try await relay.waitUntilStarted()
                let key: HTTPHeaders = ["X-Dexatel-Key": Samples.key]
                for method in [HTTPMethod.GET, .POST] {
                    let answer = try await Exchange.send(method, base + "/v1/x", headers: key)
                    #expect(answer.status == 508)
                    #expect(answer.headers["Contact-Relay-Error"] == ["forwarding_loop"])
                }
                let target = "/v1/audiences/\(Samples.audience)/contacts/\(Samples.contact)"
                let write = try await Exchange.send(
                    .PUT,
                    base + target,
                    headers: ["X-Dexatel-Key": Samples.key, "Content-Type": "application/json"],
                    body: #"{"data":{"first_name":"Ada"}}"#
                )
                #expect(write.status == 202)
                let metrics = { try await Exchange.send(.GET, base + "/_relay/metrics").text }
                try await eventually("the delivery to come back") {
                    try await metrics().split(separator: "\n").contains {
                        $0.hasPrefix("contact_relay_forwarding_loops_total ") && $0.hasSuffix(" 3")
                    }
                }
                let body = try await Exchange.send(.GET, base + "/_relay/status").body
                #expect(try AdminJSON.decode(RelayStatus.self, from: Data(body)).outbox.accepted == 1)
                #expect(try await relay.stop() == .exited(0))
            }
        }
    }
}
