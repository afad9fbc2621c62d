import AdminAPI
import NIOHTTP1
import TestSupport
import Testing

extension ProcessTests {
    /// Replies that look like something else than they are (design §3.3).
    @Suite struct TrapTests {
        @Test(
            "What is not a whole good reply is no delivery and no refusal: the write is sent again",
            arguments: [
                #"{"reset_mid_reply":{"count":1}}"#,
                #"{"garbage":{"count":1}}"#,
                #"{"slow_body":{"bytes_per_second":20,"count":1}}"#,
                #"{"status":{"status":404,"body":"<h1>no such site</h1>","count":1}}"#,
                #"{"status":{"status":404,"body":{"error":"not found"},"count":1}}"#,
                #"{"status":{"status":408,"count":1}}"#,
                #"{"status":{"status":425,"count":1}}"#,
                #"{"redirect":{"status":308,"location":"/v1/elsewhere","count":1}}"#,
            ]
        )
        func sentAgain(fault: String) async throws {
            try await withSandbox { sandbox in
                let simulator = try await SimulatorProcess(in: sandbox)
                // Short where it is what has to pass, and else long enough for any machine.
                let timeout = fault.contains("slow_body") ? "3s" : "20s"
                let settings = ["upstream.request_timeout": timeout]
                let relay = try await RelayProcess(
                    in: sandbox,
                    upstream: simulator,
                    settings
                )
                try await simulator.setFaults(fault)
                let answer = try await relay.put(prefer: "respond-async")
                #expect(answer.status == 202)
                try await relay.waitForState("delivered", of: answer)
                #expect(try await relay.receipt(of: answer).attempts == 2)
                #expect(try await simulator.log().count == 2)
                #expect(try await relay.status().outbox.dead == 0)
            }
        }

        @Test(
            "A Retry-After of a year, or of no sense, keeps nothing back for longer than writes.retry.max_retry_after",
            arguments: [
                (429, "31536000"), (503, "31536000"), (503, "99999999999999999999999"),
                (429, "Fri, 31 Dec 2199 23:59:59 GMT"), (503, "-1"), (429, "soon"),
            ]
        )
        func retryAfter(status: Int, value: String) async throws {
            try await withSandbox { sandbox in
                let simulator = try await SimulatorProcess(in: sandbox)
                let settings = ["writes.retry.max_retry_after": "300ms"]
                let relay = try await RelayProcess(in: sandbox, upstream: simulator, settings)
                try await simulator.setFaults(
                    #"{"status":{"status":\#(status),"retry_after":"\#(value)","count":1}}"#
                )
                let answer = try await relay.put(prefer: "respond-async")
                try await relay.waitForState("delivered", of: answer)
                #expect(try await simulator.log().map(\.status) == [status, 200])
                #expect(try await relay.put("Augusta").status == 200)
            }
        }
    }
}
