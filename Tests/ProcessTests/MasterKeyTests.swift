import AdminAPI
import Foundation
import Glibc
import Testing

extension ProcessTests {
    /// A master key that does not fit is a clear refusal, and nothing is touched (design §8).
    @Suite struct MasterKeyTests {
        @Test("With another or no master key the daemon ends with status 78, and goes on with the right one")
        func wrongMasterKey() async throws {
            try await withSandbox { sandbox in
                let simulator = try await SimulatorProcess(in: sandbox)
                let first = try await RelayProcess(in: sandbox, upstream: simulator)
                try await simulator.goDown()
                let answer = try await first.put()
                #expect(answer.status == 202)
                #expect(try await first.stop() == .exited(0))

                let path = sandbox.stateDirectory + "/master.key"
                let rightKey = try #require(FileManager.default.contents(atPath: path))
                let before = try Self.database(of: sandbox)
                let arguments = RelayProcess.arguments(in: sandbox, upstream: simulator.url)
                for wrongKey in [Data(repeating: 7, count: 32), Data(repeating: 7, count: 31), nil] {
                    try FileManager.default.removeItem(atPath: path)
                    if let wrongKey { try Self.write(wrongKey, to: path) }
                    let refusal = try await sandbox.finish("contact-relay", arguments)
                    #expect(refusal.ending == .exited(78))
                    #expect(refusal.output.contains("master"))
                    #expect(FileManager.default.contents(atPath: path) == wrongKey)
                    #expect(try Self.database(of: sandbox) == before)
                    try Self.write(rightKey, to: path)
                }

                try await simulator.goUp()
                let relay = try await RelayProcess(in: sandbox, upstream: simulator)
                try await relay.waitForState("delivered", of: answer)
                #expect(try await simulator.applied() == ["Ada"])
            }
        }

        private static func write(_ key: Data, to path: String) throws {
            try key.write(to: URL(filePath: path))
            try #require(chmod(path, 0o600) == 0)
        }

        @Test(
            "A master key, a database or a directory that others can read ends the daemon with status 78 and the remedy"
        )
        func exposedFiles() async throws {
            try await withSandbox { sandbox in
                let simulator = try await SimulatorProcess(in: sandbox)
                let first = try await RelayProcess(in: sandbox, upstream: simulator)
                #expect(try await first.put().status == 200)
                #expect(try await first.stop() == .exited(0))
                let state = sandbox.stateDirectory
                let before = try Self.database(of: sandbox)
                for (path, mode, right) in [
                    (state + "/master.key", 0o644, 0o600), (state + "/outbox.sqlite", 0o640, 0o600),
                    (state, 0o755, 0o700),
                ] as [(String, mode_t, mode_t)] {
                    try #require(chmod(path, mode) == 0)
                    let arguments = RelayProcess.arguments(in: sandbox, upstream: simulator.url)
                    let refusal = try await sandbox.finish("contact-relay", arguments)
                    #expect(refusal.ending == .exited(78))
                    #expect(refusal.output.contains("chmod \(String(right, radix: 8)) '\(path)'"))
                    #expect(try Self.database(of: sandbox) == before)
                    try #require(chmod(path, right) == 0)
                }
                let relay = try await RelayProcess(in: sandbox, upstream: simulator)
                #expect(try await relay.put("Augusta").status == 200)
            }
        }

        /// What the database holds, byte for byte; SQLite's shared memory is no content.
        private static func database(of sandbox: Sandbox) throws -> [String: Data] {
            var contents: [String: Data] = [:]
            for name in ["outbox.sqlite", "outbox.sqlite-wal"] {
                let data = FileManager.default.contents(atPath: sandbox.stateDirectory + "/" + name)
                if let data, !data.isEmpty { contents[name] = data }
            }
            try #require(contents["outbox.sqlite"] != nil)
            return contents
        }
    }
}
