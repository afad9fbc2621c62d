import AdminAPI
import Foundation
import NIOHTTP1
import TestSupport
import Testing

extension ProcessTests {
    /// Somebody deletes or moves the files of a daemon, running or not (P1).
    @Suite struct LostFilesTests {
        @Test(
            "A state directory that is deleted under a daemon is said by readiness, status and log, and nothing is taken"
        )
        func deletedDirectory() async throws {
            try await withSandbox { sandbox in
                let simulator = try await SimulatorProcess(in: sandbox)
                let relay = try await RelayProcess(
                    in: sandbox,
                    upstream: simulator,
                    ["admin.socket": sandbox.folder + "/admin.sock"]
                )
                #expect(try await relay.put().status == 200)
                try FileManager.default.removeItem(atPath: sandbox.stateDirectory)
                let refused = try await relay.put("lost", prefer: "respond-async")
                #expect(refused.status == 503)
                #expect(refused.headers["Contact-Relay-Error"] == ["outbox_unavailable"])
                let ready = try await relay.send(.GET, "/_relay/ready")
                #expect(ready.status == 503)
                #expect(
                    ready.text.contains("outbox_files") && ready.text.contains("outbox.sqlite was deleted or moved")
                )
                #expect(try await relay.send(.GET, "/_relay/live").status == 200)
                #expect(try await relay.status().outbox.state == "files_lost")
                #expect(try await relay.metric("contact_relay_outbox_working") == 0)
                #expect(relay.process.output.contains("the outbox's files are not in their place"))
                #expect(!FileManager.default.fileExists(atPath: sandbox.stateDirectory + "/outbox.sqlite"))
                #expect(try await relay.stop() == .exited(0))
            }
        }

        @Test("Without its database a daemon ends with 74 and makes none, and with it back nothing is lost")
        func missingDatabase() async throws {
            try await withSandbox { sandbox in
                let simulator = try await SimulatorProcess(in: sandbox)
                let first = try await RelayProcess(in: sandbox, upstream: simulator)
                try await simulator.goDown()
                let answer = try await first.put()
                #expect(answer.status == 202)
                try await first.kill()
                let database = sandbox.stateDirectory + "/outbox.sqlite"
                try FileManager.default.moveItem(atPath: database, toPath: sandbox.folder + "/away")
                let log = FileManager.default.contents(atPath: database + "-wal")
                let arguments = RelayProcess.arguments(in: sandbox, upstream: simulator.url)
                let refusal = try await sandbox.finish("contact-relay", arguments)
                #expect(refusal.ending == .exited(74))
                #expect(refusal.output.contains("is missing or empty beside its log"))
                #expect(!FileManager.default.fileExists(atPath: database))
                #expect(FileManager.default.contents(atPath: database + "-wal") == log)
                try FileManager.default.moveItem(atPath: sandbox.folder + "/away", toPath: database)
                try await simulator.goUp()
                let relay = try await RelayProcess(in: sandbox, upstream: simulator)
                try await relay.waitForState("delivered", of: answer)
            }
        }
    }
}
