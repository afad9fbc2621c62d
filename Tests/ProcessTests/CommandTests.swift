import AdminAPI
import Foundation
import Testing

extension ProcessTests {
    /// The operator's commands and their exit statuses (design §2.2, §2.3).
    @Suite struct CommandTests {
        private static func write(_ text: String, to name: String, in sandbox: Sandbox) throws -> String {
            let path = sandbox.folder + "/" + name
            try text.write(toFile: path, atomically: false, encoding: .utf8)
            return path
        }

        @Test(
            "A bad configuration ends serve and check with status 78, and each fault is named",
            arguments: ["serve", "check"]
        )
        func badConfiguration(command: String) async throws {
            try await withSandbox { sandbox in
                let path = try Self.write(
                    "listen:\n  port: 0\nwrites:\n  replywait: 2s\n  max_body: lots\n",
                    to: "bad.yaml",
                    in: sandbox
                )
                let result = try await sandbox.finish(
                    "contact-relay",
                    [command, "--config", path, "--set", "state.directory=\(sandbox.stateDirectory)"]
                )
                #expect(result.ending == .exited(78))
                #expect(result.output.contains("\(path):4: writes.replywait: "))
                #expect(result.output.contains("writes.reply_wait"))
                #expect(result.output.contains("\(path):5: writes.max_body: "))
                #expect(!FileManager.default.fileExists(atPath: sandbox.stateDirectory))
            }
        }

        @Test("A fault of the environment or the command line is named by its variable or key")
        func badEnvironment() async throws {
            try await withSandbox { sandbox in
                let variable = try await sandbox.finish(
                    "contact-relay",
                    ["check"],
                    environment: ["CONTACT_RELAY_LISTEN_PORT": "http"]
                )
                #expect(variable.ending == .exited(78))
                #expect(variable.output.contains("CONTACT_RELAY_LISTEN_PORT: listen.port: "))
                let setting = try await sandbox.finish(
                    "contact-relay",
                    ["check", "--set", "upstream.url=http://example.com"]
                )
                #expect(setting.ending == .exited(78))
                #expect(setting.output.contains("upstream.url"))
                #expect(try await sandbox.finish("contact-relay", ["frobnicate"]).ending == .exited(64))
            }
        }

        @Test("check prints the effective configuration, which can serve as a file again")
        func check() async throws {
            try await withSandbox { sandbox in
                let path = try Self.write("writes:\n  reply_wait: 3s\n", to: "good.yaml", in: sandbox)
                let arguments = ["check", "--config", path, "--set", "listen.port=8181"]
                let first = try await sandbox.finish("contact-relay", arguments)
                #expect(first.ending == .exited(0))
                #expect(first.output.contains("reply_wait: 3s"))
                #expect(first.output.contains("port: 8181"))
                #expect(first.output.contains("https://api.dexatel.com"))
                let again = try Self.write(first.output, to: "again.yaml", in: sandbox)
                let second = try await sandbox.finish("contact-relay", ["check", "--config", again])
                #expect(second.ending == .exited(0))
                #expect(second.output == first.output)
            }
        }

        @Test("status asks the running daemon, for people and as JSON, and ends with status 69 when there is none")
        func status() async throws {
            try await withSandbox { sandbox in
                let simulator = try await SimulatorProcess(in: sandbox)
                let relay = try await RelayProcess(in: sandbox, upstream: simulator)
                #expect(try await relay.put().status == 200)
                let arguments = RelayProcess.arguments(of: "status", in: sandbox, upstream: simulator.url)
                let page = try await sandbox.finish("contact-relay", arguments)
                #expect(page.ending == .exited(0))
                #expect(page.output.contains("upstream up; nothing pending"))
                #expect(page.output.contains(#/delivered +1\n/#))
                let json = try await sandbox.finish("contact-relay", arguments + ["--json"])
                #expect(json.ending == .exited(0))
                let status = try AdminJSON.decode(RelayStatus.self, from: Data(json.output.utf8))
                #expect(status.outbox == (try await relay.status().outbox))
                #expect(status.daemon.pid == (try await relay.process.pid()))

                #expect(try await relay.stop() == .exited(0))
                let nobody = try await sandbox.finish("contact-relay", arguments)
                #expect(nobody.ending == .exited(69))
                #expect(nobody.output.contains("admin.sock"))
            }
        }
    }
}
