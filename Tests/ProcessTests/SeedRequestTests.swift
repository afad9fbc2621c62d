import AdminAPI
import NIOHTTP1
import Testing

extension ProcessTests {
    /// The story that the project is there for: one contact update, with and without an upstream.
    @Suite struct SeedRequestTests {
        @Test("With the upstream up, the seed's request gets the upstream's own reply, byte for byte")
        func upstreamUp() async throws {
            try await withSandbox { sandbox in
                let simulator = try await SimulatorProcess(in: sandbox)
                let relay = try await RelayProcess(in: sandbox, upstream: simulator)

                let answer = try await relay.put()
                let stored = try await simulator.send(.GET)
                let direct = try await simulator.send(.PUT, body: Samples.body)

                #expect(answer.status == 200)
                #expect(answer.status == direct.status)
                #expect(answer.headers["Content-Type"] == direct.headers["Content-Type"])
                // The whole body, `update_date` included, is what the upstream has made of this very write.
                #expect(answer.text == stored.text)
                #expect(Self.withoutUpdateDate(answer.text) == Self.withoutUpdateDate(direct.text))

                let receipt = try await relay.receipt(of: answer)
                #expect(receipt.state == "delivered")
                #expect(receipt.response?.status == 200)
                #expect(receipt.attempts == 1)
                let write = try #require(answer.write)
                #expect(try await relay.receiptAnswer(write).text.contains(answer.text))
                let sent = try #require(try await simulator.log().first)
                #expect(sent.target == Samples.target)
                #expect(sent.body?.data?.count == 4)
            }
        }

        private static func withoutUpdateDate(_ text: String) -> String {
            text.replacing(#/"update_date":"[^"]*"/#, with: "")
        }

        @Test(
            "A write that was answered 202 outlives kill -9 and is delivered once, in order, when the upstream is back"
        )
        func upstreamDown() async throws {
            try await withSandbox { sandbox in
                let simulator = try await SimulatorProcess(in: sandbox)
                // The wait is longer than the client's patience: a 202 shows that the relay did not sit it out.
                let settings = [
                    "writes.reply_wait": "5m", "writes.max_reply_wait": "5m",
                    // Both are to arrive, though the second covers the first.
                    "writes.supersede": "false",
                ]
                let first = try await RelayProcess(in: sandbox, upstream: simulator, settings)
                try await simulator.goDown()

                let answer = try await first.put()
                #expect(answer.status == 202)
                let write = try #require(answer.write)
                #expect(answer.headers["Location"] == ["/_relay/writes/\(write)"])
                #expect(answer.headers["Content-Type"] == ["application/json"])
                #expect(
                    answer.text
                        == #"{"data":{"id":"\#(Samples.contact)","audience_id":"\#(Samples.audience)","#
                        + #""first_name":"Ada","last_name":"Lovelace","timestamp":"1815-12-10","date":"10 December"}}"#
                )
                let second = try await first.put("Augusta")
                #expect(second.status == 202)

                try await first.kill()
                let relay = try await RelayProcess(in: sandbox, upstream: simulator, settings)
                for answer in [answer, second] {
                    let receipt = try await relay.receipt(of: answer)
                    #expect(["pending", "in_flight"].contains(receipt.state))
                    #expect(receipt.response?.status == nil)
                }
                #expect(try await relay.status().outbox.pending == 2)
                #expect(try await simulator.applied() == [])

                try await simulator.goUp()
                try await relay.waitForState("delivered", of: second)
                #expect(try await relay.receipt(of: answer).state == "delivered")
                #expect(try await simulator.applied() == ["Ada", "Augusta"])

                #expect(try await relay.receiptAnswer(write, key: "another-key").status == 404)
                #expect(try await relay.send(.GET, "/_relay/writes/\(write)").status == 401)
                #expect(try await relay.send(.GET, "/_relay/writes/nonsense", headers: Samples.headers()).status == 404)
            }
        }
    }
}
