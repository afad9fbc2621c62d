import AdminAPI
import NIOHTTP1
import Testing

extension ProcessTests {
    /// Who is told what, and when (design §3.2).
    @Suite struct AnswerTests {
        @Test("Prefer: respond-async gets 202 with an upstream that is up")
        func respondAsync() async throws {
            try await withSandbox { sandbox in
                let simulator = try await SimulatorProcess(in: sandbox)
                let relay = try await RelayProcess(in: sandbox, upstream: simulator)
                let answer = try await relay.put(prefer: "respond-async")
                #expect(answer.status == 202)
                #expect(answer.headers["Preference-Applied"] == ["respond-async"])
                try await relay.waitForState("delivered", of: answer)
                #expect(try await simulator.applied() == ["Ada"])
            }
        }

        @Test("Prefer: wait=1 gets 202 from an upstream that takes longer, which then delivers all the same")
        func waitEnds() async throws {
            try await withSandbox { sandbox in
                let simulator = try await SimulatorProcess(in: sandbox)
                let relay = try await RelayProcess(in: sandbox, upstream: simulator)
                try await simulator.setFaults(#"{"latency_ms":5000}"#)
                let answer = try await relay.put(prefer: "wait=1")
                #expect(answer.status == 202)
                #expect(answer.headers["Preference-Applied"] == ["wait=1"])
                // The attempt goes on: its sender alone waits no longer.
                #expect(try await relay.receipt(of: answer).state == "in_flight")
                try await relay.waitForState("delivered", of: answer)
                #expect(try await simulator.applied() == ["Ada"])
            }
        }

        @Test(
            "A refusal that comes before a 202 is the upstream's own, and the write ends rejected",
            arguments: [(404, 1351), (401, 0), (403, 0)]
        )
        func refusedAtOnce(status: Int, code: Int) async throws {
            try await withSandbox { sandbox in
                let flags =
                    [401: ["--known-key", "another key"], 403: ["--forbidden-key", Samples.key]][status] ?? []
                let contact = status == 404 ? Samples.audience : Samples.contact
                let simulator = try await SimulatorProcess(in: sandbox, flags: flags)
                let relay = try await RelayProcess(in: sandbox, upstream: simulator)
                let answer = try await relay.put(to: contact)
                let direct = try await simulator.send(.PUT, Samples.target(contact), body: Samples.body)
                let (mine, its) = try (answer.decoded(ErrorDocument.self), direct.decoded(ErrorDocument.self))
                #expect(answer.status == status)
                #expect(direct.status == status)
                #expect(mine.errors.map(\.code) == [code])
                #expect(mine.errors.map(\.message) == its.errors.map(\.message))
                #expect(answer.headers["Content-Type"] == direct.headers["Content-Type"])
                #expect(answer.headers["Contact-Relay-Error"] == [])
                let receipt = try await relay.receipt(of: answer)
                #expect(receipt.state == "rejected")
                #expect(receipt.response?.status == status)
                #expect(try await relay.status().outbox.rejected == 1)
            }
        }

        @Test("DELETE is answered 204 by the upstream or 202 by the relay, both without a body")
        func delete() async throws {
            try await withSandbox { sandbox in
                let simulator = try await SimulatorProcess(in: sandbox)
                let relay = try await RelayProcess(in: sandbox, upstream: simulator)
                let deleted = try await relay.delete()
                #expect(deleted.status == 204)
                #expect(deleted.body == [])
                #expect(try await relay.receipt(of: deleted).state == "delivered")
                // Its sender waits for this one, and hears what the upstream says.
                let again = try await relay.delete()
                #expect(again.status == 404)
                #expect(try await relay.receipt(of: again).state == "rejected")
                // And nobody waits for this one, whose purpose has come about.
                let later = try await relay.delete(prefer: "respond-async")
                #expect(later.status == 202)
                #expect(later.body == [])
                try await relay.waitForState("delivered", of: later)
                #expect(try await relay.receipt(of: later).response?.status == 404)
            }
        }
    }
}
