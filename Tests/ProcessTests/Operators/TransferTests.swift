import AdminAPI
import Foundation
import Glibc
import NIOHTTP1
import TestSupport
import Testing

extension ProcessTests {
    /// The queue on its way to another relay, waited for, and looked through.
    @Suite struct TransferTests {
        private static let settings = ["writes.supersede": "false"]

        private static func mode(_ path: String) throws -> Int {
            let attributes = try FileManager.default.attributesOfItem(atPath: path)
            return try #require(attributes[.posixPermissions] as? NSNumber).intValue
        }

        @Test(
            "What one relay exports, another one with the same master key delivers in order; any other takes none of it"
        )
        func transfer() async throws {
            try await withSandbox { sandbox in
                let simulator = try await SimulatorProcess(in: sandbox)
                let first = try await RelayProcess(in: sandbox, upstream: simulator, Self.settings)
                try await simulator.goDown()
                for name in ["one", "two", "three"] { #expect(try await first.put(name).status == 202) }
                let file = sandbox.folder + "/queue.ndjson"
                let exported = try await Operator(in: sandbox).done("outbox", "export", "--output", file)
                #expect(exported == "3 writes exported\n")
                #expect(try Self.mode(file) == 0o600)
                let text = try String(contentsOfFile: file, encoding: .utf8)
                #expect(text.split(separator: "\n").count == 3 && !text.contains(Samples.key))
                let again = try await Operator(in: sandbox).run("outbox", "export", "--output", file)
                #expect(again.ending == .exited(74), "a file that is there is left alone")
                let masterKey = sandbox.stateDirectory + "/master.key"

                let other = sandbox.folder + "/other"
                try FileManager.default.createDirectory(
                    atPath: other,
                    withIntermediateDirectories: false,
                    attributes: [.posixPermissions: 0o700]
                )
                try FileManager.default.copyItem(atPath: masterKey, toPath: other + "/master.key")
                let heirSettings = Self.settings.merging(["state.directory": other]) { $1 }
                let heir = try await RelayProcess(in: sandbox, upstream: simulator, heirSettings)
                let operators = Operator(in: sandbox, stateDirectory: other)
                let piped = try await operators.shell("contact-relay outbox import $S < \(file)")
                #expect(piped.ending == .exited(0) && piped.output.hasSuffix("3 writes imported\n"))
                #expect(try await heir.status().outbox.accepted == 3)

                let stranger = sandbox.folder + "/stranger"
                let strangerSettings = Self.settings.merging(["state.directory": stranger]) { $1 }
                let strange = try await RelayProcess(in: sandbox, upstream: simulator, strangerSettings)
                let refused = try await Operator(in: sandbox, stateDirectory: stranger).run("outbox", "import", file)
                #expect(refused.ending == .exited(1))
                #expect(
                    refused.output.contains("master key")
                        && refused.output.contains("no write was taken; from line 1 on none was")
                )
                #expect(try await strange.status().outbox.accepted == 0)

                // Both would send it otherwise.
                #expect(try await first.stop() == .exited(0))
                try await simulator.goUp()
                #expect(try await operators.done("outbox", "drain", "--timeout=1m").hasSuffix("drained\n"))
                #expect(try await simulator.applied() == ["one", "two", "three"])
            }
        }

        @Test("A line that is no exported write is named, and what is not there is an error of input")
        func badImport() async throws {
            try await withSandbox { sandbox in
                let simulator = try await SimulatorProcess(in: sandbox)
                let relay = try await RelayProcess(in: sandbox, upstream: simulator)
                let operators = Operator(in: sandbox)
                let junk = try await operators.shell("echo '{}' | contact-relay outbox import $S")
                #expect(junk.ending == .exited(64) && junk.output.contains("line 1"))
                #expect(try await operators.run("outbox", "import", "/nowhere").ending == .exited(74))
                #expect(try await relay.status().outbox.accepted == 0)
            }
        }

        @Test(
            "An import that ends at a bad line says which lines were taken, and not with the status of an unchanged queue"
        )
        func brokenOff() async throws {
            try await withSandbox { sandbox in
                let simulator = try await SimulatorProcess(in: sandbox)
                let relay = try await RelayProcess(in: sandbox, upstream: simulator, Self.settings)
                try await simulator.goDown()
                #expect(try await relay.put().status == 202)
                let operators = Operator(in: sandbox)
                let line = try await operators.done("outbox", "export").split(separator: "\n")[0]
                let (file, output) = (sandbox.folder + "/lines", sandbox.folder + "/ids")
                var lines = [String](repeating: String(line), count: 600)
                lines[299] = "{}"
                try lines.joined(separator: "\n").write(toFile: file, atomically: false, encoding: .utf8)
                let broken = try await operators.shell("contact-relay outbox import $S --ids \(file) >\(output)")
                let taken = try await relay.status().outbox.accepted - 1
                #expect(taken > 0 && broken.ending == .exited(1))
                #expect(broken.output.contains("line 300 is not a write"))
                #expect(
                    broken.output.contains(
                        "\(taken) writes were taken, up to line \(taken); from line \(taken + 1) on none"
                    )
                )
                let ids = try String(contentsOfFile: output, encoding: .utf8)
                #expect(ids.split(separator: "\n").count == Int(taken))

                // A part with a target that is not its contact's is refused as a whole, by the daemon.
                lines[299] = String(line).replacing(
                    Samples.contact,
                    with: "fe84f52d-d05e-4af6-b93a-08dc0110f537",
                    maxReplacements: 1
                )
                try lines.joined(separator: "\n").write(toFile: file, atomically: false, encoding: .utf8)
                let refused = try await operators.run("outbox", "import", file)
                let more = try await relay.status().outbox.accepted - 1 - taken
                #expect(refused.ending == .exited(1) && more > 0 && more < 300)
                #expect(
                    refused.output.contains(
                        "\(more) writes were taken, up to line \(more); from line \(more + 1) on none"
                    )
                )

                // A signal in the middle: what was taken is said, and what is not known.
                let pipe = sandbox.folder + "/pipe"
                try #require(mkfifo(pipe, 0o600) == 0)
                let importing = sandbox.spawn(
                    "contact-relay",
                    ["outbox", "import", pipe, "--socket", operators.socket]
                )
                let writer = open(pipe, O_WRONLY | O_CLOEXEC)
                try #require(writer >= 0)
                defer { close(writer) }
                let many = Array([String](repeating: String(line), count: 300).joined(separator: "\n").utf8) + [0x0A]
                try FileHandle(fileDescriptor: writer).write(contentsOf: Data(many))
                try await eventually("a part to be taken") { importing.output.contains("import: ") }
                importing.signal(SIGTERM)
                #expect(try await importing.waitForEnd() == .exited(128 + SIGTERM))
                #expect(importing.output.contains("writes were taken, up to line"))
            }
        }

        @Test("Draining waits until nothing is pending, and ends with status 69 when the time is up before that")
        func drain() async throws {
            try await withSandbox { sandbox in
                let simulator = try await SimulatorProcess(in: sandbox)
                let relay = try await RelayProcess(in: sandbox, upstream: simulator)
                let operators = Operator(in: sandbox)
                #expect(try await operators.done("outbox", "drain") == "drained\n")
                try await simulator.goDown()
                #expect(try await relay.put().status == 202)
                let late = try await operators.run("outbox", "drain", "--timeout", "10ms")
                #expect(late.ending == .exited(69) && late.output.contains("1 pending"))
                let waiting = sandbox.spawn("contact-relay", ["outbox", "drain", "--socket", operators.socket])
                try await eventually("the drain to say what it waits for") { waiting.output.contains("1 pending") }
                #expect(waiting.ending == nil)
                try await simulator.goUp()
                #expect(try await waiting.waitForEnd() == .exited(0))
                #expect(try await relay.status().outbox.delivered == 1)
            }
        }

        @Test("The outbox is checked by its daemon, or without one under the lock, and damage ends with status 74")
        func check() async throws {
            try await withSandbox { sandbox in
                let simulator = try await SimulatorProcess(in: sandbox)
                let relay = try await RelayProcess(in: sandbox, upstream: simulator)
                #expect(try await relay.put().status == 200)
                let operators = Operator(in: sandbox)
                #expect(try await operators.done("outbox", "check") == "the outbox is whole\n")
                #expect(try await relay.stop() == .exited(0))

                let arguments = ["outbox", "check", "--set", "state.directory=\(sandbox.stateDirectory)"]
                let offline = try await sandbox.finish("contact-relay", arguments)
                #expect(offline.ending == .exited(0) && offline.output.contains("the outbox is whole"))
                let path = sandbox.stateDirectory + "/outbox.sqlite"
                let handle = try #require(FileHandle(forUpdatingAtPath: path))
                // The books say one delivered write; its page says something else now.
                try handle.seek(toOffset: 3 * 4_096)
                try handle.write(contentsOf: Data(repeating: 0xA5, count: 4_096))
                try handle.close()
                let damaged = try await sandbox.finish("contact-relay", arguments)
                #expect(damaged.ending == .exited(74) && damaged.output.contains("DAMAGED"))
                let nowhere = ["outbox", "check", "--set", "state.directory=\(sandbox.folder)/nowhere"]
                #expect(try await sandbox.finish("contact-relay", nowhere).ending == .exited(69))
            }
        }
    }
}
