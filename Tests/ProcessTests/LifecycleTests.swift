import NIOHTTP1
import TestSupport
import Testing

extension ProcessTests {
    /// Starting, stopping, and what the service manager hears of it (design §7).
    @Suite struct LifecycleTests {
        @Test("SIGTERM ends the daemon with status 0, and what is queued is there at the next start")
        func stops() async throws {
            try await withSandbox { sandbox in
                let simulator = try await SimulatorProcess(in: sandbox)
                let first = try await RelayProcess(in: sandbox, upstream: simulator)
                try await simulator.goDown()
                let answer = try await first.put()
                #expect(answer.status == 202)
                #expect(try await first.stop() == .exited(0))
                #expect(!first.process.output.contains(" error "))

                let relay = try await RelayProcess(in: sandbox, upstream: simulator)
                #expect(try await relay.receipt(of: answer).state != "delivered")
                try await simulator.goUp()
                try await relay.waitForState("delivered", of: answer)
                #expect(try await simulator.applied() == ["Ada"])
            }
        }

        @Test("An attempt that never ends holds the daemon up for no longer than shutdown.timeout")
        func stopsInSpiteOfAnAttempt() async throws {
            try await withSandbox { sandbox in
                let simulator = try await SimulatorProcess(in: sandbox)
                // The attempt would last longer than the deadline of this test's waits.
                let settings = ["shutdown.timeout": "1s", "upstream.request_timeout": "10m"]
                let first = try await RelayProcess(in: sandbox, upstream: simulator, settings)
                try await simulator.setFaults(#"{"mode":"black-hole"}"#)
                let answer = try await first.put(prefer: "respond-async")
                try await eventually("an attempt") { try await simulator.log().count == 1 }
                #expect(try await first.stop() == .exited(0))

                try await simulator.goUp()
                let relay = try await RelayProcess(in: sandbox, upstream: simulator)
                try await relay.waitForState("delivered", of: answer)
                #expect(try await simulator.applied() == ["Ada"])
            }
        }

        @Test("A second daemon on the same state directory ends with status 75 and harms nothing")
        func secondDaemon() async throws {
            try await withSandbox { sandbox in
                let simulator = try await SimulatorProcess(in: sandbox)
                let relay = try await RelayProcess(in: sandbox, upstream: simulator)
                let arguments = RelayProcess.arguments(in: sandbox, upstream: simulator.url)
                let second = try await sandbox.finish("contact-relay", arguments)
                #expect(second.ending == .exited(75))
                #expect(second.output.contains(sandbox.stateDirectory))
                #expect(try await relay.put().status == 200)
            }
        }

        @Test("systemd hears READY once the port answers, a status in words, and STOPPING")
        func notifications() async throws {
            try await withSandbox { sandbox in
                let simulator = try await SimulatorProcess(in: sandbox)
                let socket = try NotifySocket(in: sandbox)
                let process = sandbox.spawn(
                    "contact-relay",
                    RelayProcess.arguments(in: sandbox, upstream: simulator.url),
                    environment: ["NOTIFY_SOCKET": socket.path]
                )
                try await eventually("READY=1") {
                    // Nothing is asked of the daemon before it has said so.
                    socket.received().contains("READY=1") || process.ending != nil
                }
                let port = try await RelayProcess.port(of: process)
                let ready = try await Exchange.send(.GET, "http://127.0.0.1:\(port)/_relay/ready")
                #expect(ready.status == 200)
                #expect(socket.received().contains { $0.hasPrefix("STATUS=") && $0.contains("nothing pending") })
                #expect(!socket.received().contains("STOPPING=1"))
                try await simulator.goDown()
                let url = "http://127.0.0.1:\(port)\(Samples.target)"
                let answer = try await Exchange.send(.PUT, url, headers: Samples.headers(), body: Samples.body)
                #expect(answer.status == 202)
                try await eventually("a new status") { socket.received().contains { $0.contains("1 pending") } }

                process.signal(15)
                #expect(try await process.waitForEnd() == .exited(0))
                #expect(socket.received().contains("STOPPING=1"))
            }
        }
    }
}
