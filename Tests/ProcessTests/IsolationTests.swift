import AdminAPI
import NIOHTTP1
import TestSupport
import Testing

extension ProcessTests {
    /// No contact and no key holds up the others (P3), and none of them opens the breaker (design §4).
    @Suite struct IsolationTests {
        private static let healthyCount = 1_000
        private static let revoked = "a-key-that-is-refused"
        private static let limited = "a-key-that-is-rate-limited"
        private static let poisonous = contact(9_999)

        private static func contact(_ number: Int) -> String {
            "00000000-0000-4000-8000-" + String(String(1_000_000_000_000 + number).dropFirst())
        }

        /// Queues writes that nobody waits for: some with trouble ahead, among those of the healthy contacts.
        private static func fill(_ relay: RelayProcess) async throws -> [(key: String, answer: Answer)] {
            var troubled: [(key: String, answer: Answer)] = []
            for number in 0..<3 {
                let async = "respond-async"
                troubled.append((Samples.key, try await relay.put("p\(number)", to: poisonous, prefer: async)))
                for (key, offset) in [(revoked, 2_000), (limited, 3_000)] {
                    let contact = contact(offset + number)
                    troubled.append((key, try await relay.put("t", to: contact, key: key, prefer: async)))
                }
                try await withThrowingTaskGroup(of: Void.self) { group in
                    for lane in 0..<8 {
                        group.addTask {
                            for healthy in 0..<healthyCount where healthy % 3 == number && healthy / 3 % 8 == lane {
                                _ = try await relay.put("h", to: Self.contact(healthy), prefer: async)
                            }
                        }
                    }
                    try await group.waitForAll()
                }
            }
            return troubled
        }

        @Test(
            "A poisonous contact, a revoked key and a rate-limited key hold up none of 1 000 others, nor open the breaker"
        )
        func troubleStaysWhereItIs() async throws {
            try await withSandbox { sandbox in
                let simulator = try await SimulatorProcess(in: sandbox, flags: ["--create-on-put"])
                let settings = [
                    "writes.max_pending_unverified_per_key": "10000", "writes.max_pending_unverified": "10000",
                    "writes.hold_probe": "200ms",
                    // The poisonous contact's first write is looked at, not the last one that would stand for it.
                    "writes.supersede": "false",
                ]
                try await simulator.goDown()
                let first = try await RelayProcess(in: sandbox, upstream: simulator, settings)
                let troubled = try await Self.fill(first)
                // The next one's breaker has not seen the outage.
                try await first.kill()
                try await simulator.setFaults(
                    """
                    {"mode":"up","status":[{"status":500,"contact":"\(Self.poisonous)"},
                    {"status":401,"key":"\(Self.revoked)"},{"status":429,"key":"\(Self.limited)","retry_after":"1"}]}
                    """
                )
                let relay = try await RelayProcess(in: sandbox, upstream: simulator, settings)
                try await eventually("all the others") {
                    let status = try await relay.status()
                    #expect(status.upstream.state == "closed")
                    return status.outbox.delivered == Int64(Self.healthyCount)
                }
                let books = try await relay.status().outbox
                #expect(books.pending == Int64(troubled.count))
                #expect(books.dead == 0)

                // It goes on like that, with others' writes answered as if nothing were the matter.
                try await eventually("more attempts at the poisonous contact") {
                    let answer = try await relay.put("h", to: Self.contact(1))
                    #expect(answer.status == 200)
                    #expect(try await relay.status().upstream.state == "closed")
                    return try await relay.receipt(of: troubled[0].answer).attempts >= 8
                }
                let log = try await simulator.log()
                #expect(log.filter { $0.applied && $0.contact == Self.poisonous }.isEmpty)
                #expect(log.contains { $0.status == 401 })
                #expect(log.contains { $0.status == 429 })
                for (key, answer) in troubled where key == Self.revoked {
                    try await relay.waitForState("held", of: answer, key: key)
                }

                try await simulator.clearFaults()
                for (key, answer) in troubled { try await relay.waitForState("delivered", of: answer, key: key) }
                // Its writes are there in the order in which they were made (or some of them are superseded).
                let applied = try await simulator.applied(Self.poisonous).compactMap { $0 }
                #expect(applied == applied.sorted())
                #expect(applied.last == "p2")
            }
        }
    }
}
