import AdminAPI
import Foundation
import Glibc
import NIOHTTP1
import Testing

extension ProcessTests {
    /// P7: an API key is in no file and in no output, whatever befalls it.
    @Suite struct SecrecyTests {
        @Test(
            "A key that was accepted, queued, rejected and held is in no byte of the state directory and of the output"
        )
        func plantedKey() async throws {
            let key = "planted-" + (0..<4).map { _ in String(UInt64.random(in: 0...UInt64.max), radix: 36) }.joined()
            try await withSandbox { sandbox in
                let simulator = try await SimulatorProcess(in: sandbox)
                let settings = ["log.level": "trace"]
                var relay = try await RelayProcess(in: sandbox, upstream: simulator, settings)
                #expect(try await relay.put("delivered", key: key).status == 200)
                #expect(try await relay.put("unknown", to: Samples.audience, key: key).status == 404)
                try await simulator.goDown()
                let queued = try await relay.put("marker-of-the-queue", key: key)
                #expect(queued.status == 202)
                _ = try await relay.receiptAnswer("nonsense", key: key)
                let broken = try RawConnection(port: relay.port)
                await broken.send("PUT \(Samples.target) HTTP/1.1\r\nX-Dexatel-Key: \(key)\r\nbroken head\r\n\r\n")
                let refusal = await broken.receive()
                #expect(refusal.contains(" 400 "))
                #expect(!refusal.contains(key))

                // What can be found is found: the body is plain, and waits in the outbox.
                #expect(try Self.files(in: sandbox, with: "marker-of-the-queue") != [])
                try Self.expectNowhere(key, sandbox)
                try await relay.kill()
                try Self.expectNowhere(key, sandbox)

                relay = try await RelayProcess(in: sandbox, upstream: simulator, settings)
                try await simulator.setFaults(#"{"mode":"up","status":{"status":401,"key":"\#(key)"}}"#)
                try await relay.waitForState("held", of: queued, key: key)
                let refused = try await relay.put("refused", key: key)
                #expect(refused.status == 401)
                let texts = [
                    refused.text, try await relay.send(.GET, "/_relay/status").text,
                    try await relay.receiptAnswer(try #require(queued.write), key: key).text,
                ]
                #expect(texts.allSatisfy { !$0.contains(key) })
                try Self.expectNowhere(key, sandbox)
                #expect(try await relay.stop() == .exited(0))
                try Self.expectNowhere(key, sandbox)
            }
        }

        private static func files(in sandbox: Sandbox, with text: String) throws -> [String] {
            try sandbox.stateFiles().filter { name in
                let contents = FileManager.default.contents(atPath: sandbox.stateDirectory + "/" + name)
                return contents?.range(of: Data(text.utf8)) != nil
            }
        }

        private static func expectNowhere(_ key: String, _ sandbox: Sandbox) throws {
            #expect(try sandbox.stateFiles().contains("outbox.sqlite"))
            #expect(try files(in: sandbox, with: key) == [])
            for output in sandbox.outputs {
                #expect(Data(output).range(of: Data(key.utf8)) == nil, "the output of a process holds the key")
            }
        }

        @Test("State is for its owner alone, and the daemon leaves no core file")
        func modes() async throws {
            try await withSandbox { sandbox in
                let simulator = try await SimulatorProcess(in: sandbox)
                let relay = try await RelayProcess(in: sandbox, upstream: simulator)
                #expect(try await relay.put().status == 200)

                #expect(try Self.mode(sandbox.stateDirectory) == 0o700)
                let files = try sandbox.stateFiles()
                #expect(Set(files).isSuperset(of: ["lock", "master.key", "outbox.sqlite", "outbox.sqlite-wal"]))
                for name in files {
                    // The admin socket alone is for the relay's group, too.
                    let expected: mode_t = name == "admin.sock" ? 0o660 : 0o600
                    #expect(try Self.mode(sandbox.stateDirectory + "/" + name) == expected, "\(name)")
                }
                let pid = try await relay.process.pid()
                let limits = try String(contentsOfFile: "/proc/\(pid)/limits", encoding: .utf8)
                let core = try #require(limits.split(separator: "\n").first { $0.hasPrefix("Max core file size") })
                let words = core.split(separator: " ")
                #expect(words.suffix(3) == ["0", "0", "bytes"])
            }
        }

        private static func mode(_ path: String) throws -> mode_t {
            var status = stat()
            try #require(lstat(path, &status) == 0)
            return status.st_mode & 0o777
        }
    }
}
