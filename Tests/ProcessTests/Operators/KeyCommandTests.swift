import AdminAPI
import Foundation
import NIOHTTP1
import TestSupport
import Testing

extension ProcessTests {
    /// A key that the upstream does not take any more, and the one that takes its place (design §8).
    @Suite struct KeyCommandTests {
        private static let newKey = "5f0c6a1d8be94b64a1f1d3b1a6a0c9e2"

        private static func keys(_ operators: Operator) async throws -> [KeyList.Item] {
            let json = try await operators.done("key", "list", "--json")
            return try AdminJSON.decode(KeyList.self, from: Data(json.utf8)).keys
        }

        /// A relay with one write that is held, as its key is refused.
        private static func held(
            _ sandbox: Sandbox,
            _ simulator: SimulatorProcess
        ) async throws -> (RelayProcess, Answer, fingerprint: String) {
            let relay = try await RelayProcess(in: sandbox, upstream: simulator, ["writes.hold_probe": "10m"])
            // A delivered write, whose receipt knows the account.
            #expect(try await relay.put("before").status == 200)
            try await simulator.setFaults(
                #"{"status":[{"status":401,"key":"\#(Samples.key)"},{"status":401,"key":"wrong"}]}"#
            )
            let answer = try await relay.put(prefer: "respond-async")
            try await relay.waitForState("held", of: answer)
            let key = try #require(try await keys(Operator(in: sandbox)).first)
            #expect(key.state == "refused" && key.held == 1 && key.pending == 1)
            return (relay, answer, key.fingerprint)
        }

        @Test("A new key takes over once the upstream has taken it, and is shown nowhere")
        func replace() async throws {
            try await withSandbox { sandbox in
                let simulator = try await SimulatorProcess(in: sandbox)
                let (relay, answer, fingerprint) = try await Self.held(sandbox, simulator)
                let operators = Operator(in: sandbox)
                let page = try await operators.done("key", "list")
                #expect(page.contains("\(fingerprint.prefix(12))  refused"))

                let prefix = String(fingerprint.prefix(8))
                let unasked = try await operators.shell("echo \(Self.newKey) | contact-relay key replace \(prefix) $S")
                #expect(unasked.ending == .exited(64) && unasked.output.contains("Replace key"))
                let refused = try await operators.shell("echo wrong | contact-relay key replace \(prefix) -y $S")
                #expect(refused.ending == .exited(1) && refused.output.contains("refuses the new key"))
                #expect(try await Self.keys(operators).map(\.successor) == [nil])
                #expect(try await relay.receipt(of: answer).state == "held")

                let line = "echo \(Self.newKey) | contact-relay key replace \(prefix) --yes $S"
                let replaced = try await operators.shell(line)
                #expect(replaced.ending == .exited(0))
                #expect(replaced.output.contains("tried with \(Samples.audience)/\(Samples.contact)"))
                #expect(replaced.output.contains("of the same account"))
                try await relay.waitForState("delivered", of: answer, key: Self.newKey)
                #expect(try await simulator.applied() == ["before", "Ada"])
                #expect(try await relay.put("late").status == 401)
                let keys = try await Self.keys(operators)
                #expect(keys.map(\.state) == ["replaced", "verified"])
                #expect(keys.first?.successor == keys.last?.fingerprint)
                #expect(
                    try await operators.run("key", "replace", prefix, "--from=/dev/null", "-y").ending == .exited(64)
                )
                for output in sandbox.outputs {
                    #expect(!String(decoding: output, as: UTF8.self).contains(Self.newKey))
                }
            }
        }

        @Test("A key of another account is refused, where both accounts are known")
        func otherAccount() async throws {
            try await withSandbox { sandbox in
                let simulator = try await SimulatorProcess(in: sandbox)
                let (relay, answer, fingerprint) = try await Self.held(sandbox, simulator)
                let body = #"{"data":{"id":"\#(Samples.contact)","account_id":"11111111-2222-4333-8444-555555555555"}}"#
                try await simulator.setFaults(
                    #"{"status":[{"status":401,"key":"\#(Samples.key)"},{"status":200,"key":"other","body":\#(body)}]}"#
                )
                let line = "echo other | contact-relay key replace \(fingerprint) --yes $S"
                let refused = try await Operator(in: sandbox).shell(line)
                #expect(refused.ending == .exited(1) && refused.output.contains("another account"))
                #expect(try await relay.receipt(of: answer).state == "held")
            }
        }

        @Test("A key cannot be tried while the upstream is down, nor with a contact that the old one has no write for")
        func cannotBeTried() async throws {
            try await withSandbox { sandbox in
                let simulator = try await SimulatorProcess(in: sandbox)
                let (_, _, fingerprint) = try await Self.held(sandbox, simulator)
                let operators = Operator(in: sandbox)
                let file = sandbox.folder + "/key"
                try "\(Self.newKey)\n".write(toFile: file, atomically: false, encoding: .utf8)
                let stranger = "\(Samples.audience)/\(Samples.audience)"
                let contact = try await operators.run(
                    "key",
                    "replace",
                    fingerprint,
                    "--from",
                    file,
                    "--yes",
                    "--contact",
                    stranger
                )
                #expect(contact.ending == .exited(1) && contact.output.contains("no pending, held or dead write"))
                let unknown = try await operators.run("key", "replace", "0123456789abcdef", "--from", file, "--yes")
                #expect(unknown.ending == .exited(1) && unknown.output.contains("no key with this fingerprint"))
                try await simulator.goDown()
                let down = try await operators.run("key", "replace", fingerprint, "--from", file, "--yes")
                #expect(down.ending == .exited(69) && down.output.contains("nothing was changed"))
                try "one\ntwo\n".write(toFile: file, atomically: false, encoding: .utf8)
                #expect(
                    try await operators.run("key", "replace", fingerprint, "--from", file, "--yes").ending
                        == .exited(64)
                )
                #expect(try await Self.keys(operators).map(\.successor) == [nil])
            }
        }
    }
}
