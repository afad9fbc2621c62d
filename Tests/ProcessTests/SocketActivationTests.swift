import Foundation
import NIOHTTP1
import TestSupport
import Testing

extension ProcessTests {
    /// Sockets that systemd holds (design §7).
    @Suite struct SocketActivationTests {
        @Test("the relay serves at the sockets that are passed to it, and leaves them there when it stops")
        func servesPassedSockets() async throws {
            try await withSandbox { sandbox in
                let simulator = try await SimulatorProcess(in: sandbox)
                let relay = try ActivatedRelay(in: sandbox)
                // Nobody listens at the configured address: it could not be bound by both.
                let arguments = RelayProcess.arguments(in: sandbox, upstream: simulator.url, ["listen.port": "1"])
                try relay.start(arguments)
                try await relay.waitUntilStarted()
                #expect(relay.output.contains("bound_by=systemd port=\(relay.port)"))
                #expect(relay.output.contains("bound_by=systemd unix_socket=\(relay.path)"))
                for url in urls(of: relay, "/_relay/ready") {
                    #expect(try await Exchange.send(.GET, url).status == 200)
                }
                #expect(try await relay.stop() == .exited(0))
                #expect(FileManager.default.fileExists(atPath: relay.path))

                // What comes while there is no relay waits for the next one.
                try await withThrowingTaskGroup(of: Int.self) { group in
                    for url in urls(of: relay, "/_relay/ready") {
                        group.addTask { try await Exchange.send(.GET, url).status }
                    }
                    try relay.start(arguments)
                    for try await status in group { #expect(status == 200) }
                }
                try await relay.waitUntilStarted()
                #expect(try await relay.stop() == .exited(0))
            }
        }

        @Test("restarts under load fail no request")
        func restartsUnderLoad() async throws {
            try await withSandbox { sandbox in
                let simulator = try await SimulatorProcess(in: sandbox)
                let relay = try ActivatedRelay(in: sandbox)
                let arguments = RelayProcess.arguments(in: sandbox, upstream: simulator.url)
                try relay.start(arguments)
                try await relay.waitUntilStarted()
                let load = RequestLoad(urls(of: relay, ""))
                try await withThrowingTaskGroup(of: Void.self) { group in
                    for client in 0..<8 { group.addTask { await load.run(client) } }
                    for _ in 0..<5 {
                        let before = load.answered
                        try await eventually("load") { load.answered > before + 200 || !load.failures.isEmpty }
                        #expect(try await relay.stop() == .exited(0))
                        try relay.start(arguments)
                        try await relay.waitUntilStarted()
                    }
                    load.stop()
                    try await group.waitForAll()
                }
                #expect(load.failures == [])
                #expect(load.answered > 1_000)
                #expect(!relay.output.contains(" error "))
            }
        }

        @Test("a socket with a name that nobody knows is refused with what to do")
        func unknownName() async throws {
            try await withSandbox { sandbox in
                let relay = try ActivatedRelay(in: sandbox, names: "http:metrics")
                try relay.start(RelayProcess.arguments(in: sandbox, upstream: "http://127.0.0.1:9"))
                #expect(try await relay.waitForEnd() == .exited(78))
                #expect(relay.output.contains("metrics"))
                #expect(relay.output.contains("FileDescriptorName=http"))
            }
        }

        private func urls(of relay: ActivatedRelay, _ target: String) -> [String] {
            let escaped = relay.path.replacingOccurrences(of: "/", with: "%2F")
            return ["http://127.0.0.1:\(relay.port)\(target)", "http+unix://\(escaped)\(target)"]
        }
    }
}
