import AdminAPI
import Foundation
import NIOHTTP1
import TestSupport
import Testing

extension ProcessTests {
    /// What operators do with the queue (design §2.2).
    @Suite struct OutboxCommandTests {
        private static let refusal = #"{"status":{"status":422,"code":1361,"count":1}}"#

        /// Has a write die, and clears the fault.
        private static func die(
            _ relay: RelayProcess,
            _ simulator: SimulatorProcess,
            _ firstName: String = "Ada"
        ) async throws -> Answer {
            try await simulator.setFaults(refusal)
            let answer = try await relay.put(firstName, prefer: "respond-async")
            try await relay.waitForState("dead", of: answer)
            try await simulator.clearFaults()
            return answer
        }

        @Test("A dead write is listed by what it is, shown with all that is kept of it, and delivered by a retry")
        func retry() async throws {
            try await withSandbox { sandbox in
                let simulator = try await SimulatorProcess(in: sandbox)
                let relay = try await RelayProcess(in: sandbox, upstream: simulator)
                let operators = Operator(in: sandbox)
                #expect(try await operators.done("outbox", "list") == "no writes\n")
                let answer = try await Self.die(relay, simulator)
                let id = try #require(answer.write)

                let page = try await operators.done("outbox", "list")
                #expect(page.contains("\(id) dead"))
                #expect(page.contains("\(Samples.audience)/\(Samples.contact)"))
                #expect(page.contains("status 422, code 1361"))
                #expect(page.hasSuffix("-- 1 write, \(try #require(await operators.list().first).storedBytes) B\n"))
                let key = try #require(await operators.list().first).keyFingerprint
                let path = "/v1/audiences/\(Samples.audience)/contacts/\(Samples.contact)"
                for selector in [
                    ["--state", "dead"], ["--state=held,dead"], ["--error=1361"], ["--status=422"], ["--key=\(key)"],
                    ["--audience=\(Samples.audience)"], ["--contact=\(path)"], ["--older-than=0s"], [id], ["--all"],
                    ["\(Samples.audience)/\(Samples.contact)"],
                ] {
                    let json = try await sandbox.finish(
                        "contact-relay",
                        ["outbox", "list", "--json", "--socket", operators.socket] + selector
                    )
                    let found = try AdminJSON.decode([WriteSummary].self, from: Data(json.output.utf8))
                    #expect(found.map(\.id) == [id], "\(selector)")
                }
                let otherKey = key.hasPrefix("0") ? "1" : "0"
                for selector in [
                    "--state=pending", "--error=1362", "--status=400", "--older-than=1h", "--key=\(otherKey)",
                ] {
                    #expect(try await operators.list(selector).isEmpty, "\(selector)")
                }

                let shown = try await operators.done("outbox", "show", id)
                #expect(shown.contains(#/attempts +1\n/#))
                #expect(shown.contains(#""first_name" : "Ada""#))
                #expect(shown.contains("status 422, code 1361:"))
                #expect(!shown.contains(Samples.key))
                let json = try await operators.done("outbox", "show", id, "--json")
                let detail = try AdminJSON.decode(WriteDetail.self, from: Data(json.utf8))
                #expect(detail.body == Samples.body && detail.lastAttempts.map(\.status) == [422])

                #expect(try await operators.done("outbox", "retry", "--state", "dead") == "1 will be sent again\n")
                try await relay.waitForState("delivered", of: answer)
                #expect(try await simulator.applied() == ["Ada"])
                // There is nothing left to retry; one that is named is heard of.
                #expect(try await operators.done("outbox", "retry", "--all") == "0 will be sent again\n")
                let named = try await operators.run("outbox", "retry", id)
                #expect(named.ending == .exited(1) && named.output.contains("not in a state for this"))
            }
        }

        @Test("A dead write that a later one has overtaken is sent only by force, which is asked for")
        func replayRule() async throws {
            try await withSandbox { sandbox in
                let simulator = try await SimulatorProcess(in: sandbox)
                let relay = try await RelayProcess(in: sandbox, upstream: simulator)
                let operators = Operator(in: sandbox)
                let answer = try await Self.die(relay, simulator)
                let id = try #require(answer.write)
                #expect(try await relay.put("Augusta").status == 200)

                let refused = try await operators.run("outbox", "retry", id)
                #expect(refused.ending == .exited(1))
                #expect(refused.output.contains("0 will be sent again\n1 left as they are:\n"))
                #expect(refused.output.contains("--force"))
                let unasked = try await operators.run("outbox", "retry", id, "--force")
                #expect(unasked.ending == .exited(64))
                #expect(unasked.output.contains("Retry 1 write") && unasked.output.contains("--yes"))
                #expect(try await relay.receipt(of: answer).state == "dead")
                #expect(try await operators.done("outbox", "retry", id, "--force", "--yes") == "1 will be sent again\n")
                try await relay.waitForState("delivered", of: answer)
                #expect(try await simulator.applied() == ["Augusta", "Ada"])
            }
        }

        @Test("Discarding asks, and refuses where nobody can be asked; with --yes it is for good")
        func discard() async throws {
            try await withSandbox { sandbox in
                let simulator = try await SimulatorProcess(in: sandbox)
                let relay = try await RelayProcess(in: sandbox, upstream: simulator)
                let operators = Operator(in: sandbox)
                let dead = try await Self.die(relay, simulator)
                try await simulator.goDown()
                let pending = try await relay.put("Augusta")
                #expect(pending.status == 202)

                let unasked = try await operators.run("outbox", "discard", "--all")
                #expect(unasked.ending == .exited(64))
                #expect(unasked.output.contains("Discard 2 writes for good?"))
                #expect(try await operators.run("outbox", "discard").ending == .exited(64))
                #expect(try await operators.list().count == 2)
                #expect(try await operators.done("outbox", "discard", "--state=dead", "--yes") == "1 discarded\n")
                #expect(try await relay.receipt(of: dead).state == "discarded")
                #expect(try await relay.receipt(of: pending).state != "discarded")
                // One that is just being tried is left as it is.
                try await eventually("it to be discarded") {
                    try await operators.run("outbox", "discard", "--all", "-y").output == "1 discarded\n"
                }
                #expect(try await relay.receipt(of: pending).state == "discarded")
                try await simulator.goUp()
                try await relay.waitForState("delivered", of: try await relay.put("Eve"))
                #expect(try await simulator.applied() == ["Eve"])
                #expect(try await relay.status().outbox.discarded == 2)
            }
        }

        @Test("Ids go from one command to another through a pipe; no ids are no writes")
        func pipe() async throws {
            try await withSandbox { sandbox in
                let simulator = try await SimulatorProcess(in: sandbox)
                let relay = try await RelayProcess(in: sandbox, upstream: simulator)
                let operators = Operator(in: sandbox)
                let answer = try await Self.die(relay, simulator)
                let line = "contact-relay outbox list --state=dead --ids $S | contact-relay outbox retry - $S"
                let result = try await operators.shell(line)
                #expect(result.ending == .exited(0) && result.output == "1 will be sent again\n")
                try await relay.waitForState("delivered", of: answer)
                let nothing = try await operators.shell("contact-relay outbox discard --yes - $S </dev/null")
                #expect(nothing.ending == .exited(0) && nothing.output == "0 discarded\n")
                let junk = try await operators.shell("echo nonsense | contact-relay outbox discard --yes - $S")
                #expect(junk.ending == .exited(64))
                #expect(try await relay.status().outbox.discarded == 0)
            }
        }

        @Test("A contact that is stopped stays so over a restart, holds nobody else up, and goes on in order")
        func hold() async throws {
            try await withSandbox { sandbox in
                let simulator = try await SimulatorProcess(in: sandbox, flags: ["--create-on-put"])
                let settings = ["writes.supersede": "false"]
                let first = try await RelayProcess(in: sandbox, upstream: simulator, settings)
                let operators = Operator(in: sandbox)
                let name = "\(Samples.audience)/\(Samples.contact)"
                #expect(try await operators.done("outbox", "hold", name) == "1 contact stopped\n")
                #expect(try await operators.done("outbox", "hold", name).contains("1 were already"))
                #expect(try await operators.done("outbox", "hold", "--list").contains(name))
                let one = try await first.put("one", prefer: "respond-async")
                try await first.waitForState("held", of: one)
                #expect(try await first.put("other", to: Samples.audience).status == 200)
                #expect(try await operators.list("--state=held").map(\.hold) == ["contact"])
                let refused = try await operators.run("outbox", "release", try #require(one.write))
                #expect(refused.ending == .exited(1) && refused.output.contains("its contact is stopped"))
                #expect(try await first.stop() == .exited(0))

                let relay = try await RelayProcess(in: sandbox, upstream: simulator, settings)
                let two = try await relay.put("two", prefer: "respond-async")
                try await relay.waitForState("held", of: two)
                #expect(try await simulator.applied() == [])
                #expect(try await operators.done("outbox", "release", "--contact", name) == "\(name) goes on\n")
                try await relay.waitForState("delivered", of: two)
                #expect(try await simulator.applied() == ["one", "two"])
                #expect(try await operators.done("outbox", "hold", "--list") == "no contact is stopped\n")
            }
        }

        @Test("The contacts of writes are stopped together, once that is confirmed")
        func holdSelected() async throws {
            try await withSandbox { sandbox in
                let simulator = try await SimulatorProcess(in: sandbox, flags: ["--create-on-put"])
                let relay = try await RelayProcess(in: sandbox, upstream: simulator)
                let operators = Operator(in: sandbox)
                try await simulator.goDown()
                for contact in [Samples.contact, Samples.audience, Samples.contact] {
                    #expect(try await relay.put(to: contact, prefer: "respond-async").status == 202)
                }
                let unasked = try await operators.run("outbox", "hold", "--audience", Samples.audience)
                #expect(unasked.ending == .exited(64) && unasked.output.contains("Stop 2 contacts?"))
                let stopped = try await operators.done("outbox", "hold", "--audience", Samples.audience, "--yes")
                #expect(stopped == "2 contacts stopped\n")
                try await eventually("all to be held") { try await relay.status().outbox.held == 3 }
                #expect(try await operators.run("outbox", "release", "--stopped").ending == .exited(64))
                #expect(try await operators.done("outbox", "release", "--stopped", "--yes") == "let go: 2 contacts\n")
                try await simulator.goUp()
                #expect(try await operators.done("outbox", "drain", "--timeout=1m").hasSuffix("drained\n"))
                #expect(try await operators.done("outbox", "release", "--stopped") == "let go: 0 contacts\n")
            }
        }
    }
}
