import Glibc
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

        @Test("a long stop asks systemd for patience, and says what it waits for")
        func longStop() async throws {
            try await withSandbox { sandbox in
                let simulator = try await SimulatorProcess(in: sandbox)
                let socket = try NotifySocket(in: sandbox)
                let settings = ["shutdown.timeout": "2s", "upstream.request_timeout": "10m"]
                let relay = try await RelayProcess(
                    in: sandbox,
                    upstream: simulator,
                    settings,
                    environment: ["NOTIFY_SOCKET": socket.path]
                )
                try await simulator.setFaults(#"{"mode":"black-hole"}"#)
                #expect(try await relay.put(prefer: "respond-async").status == 202)
                try await eventually("an attempt") { try await simulator.log().count == 1 }
                #expect(try await relay.stop() == .exited(0))
                let lines = socket.received()
                let stopping = try #require(lines.firstIndex(of: "STOPPING=1"))
                let patience = try #require(lines.lastIndex { $0.hasPrefix("EXTEND_TIMEOUT_USEC=") })
                #expect(patience > stopping)
                #expect(lines[patience + 1].hasPrefix("STATUS=stopping: "))
                #expect(lines[patience + 1].contains("1 deliveries under way"))
            }
        }

        @Test("a start that fails tells systemd why, with the system's error number and the exit status")
        func failedStart() async throws {
            try await withSandbox { sandbox in
                let simulator = try await SimulatorProcess(in: sandbox)
                let relay = try await RelayProcess(in: sandbox, upstream: simulator)
                let socket = try NotifySocket(in: sandbox)
                // The port is taken.
                let other = sandbox.folder + "/other"
                let arguments = RelayProcess.arguments(
                    in: sandbox,
                    upstream: simulator.url,
                    ["listen.port": "\(relay.port)", "state.directory": other]
                )
                let environment = ["NOTIFY_SOCKET": socket.path]
                let end = try await sandbox.finish("contact-relay", arguments, environment: environment)
                #expect(end.ending == .exited(74), "\(end.output)")
                try await eventually("the exit status") { socket.received().contains("EXIT_STATUS=74") }
                var lines = socket.received()
                #expect(lines.contains("ERRNO=\(EADDRINUSE)"))
                #expect(lines.contains("EXIT_STATUS=74"))
                #expect(!lines.contains("READY=1"))
                #expect(lines.contains("STATUS=starting: opening the outbox"))

                // The state directory is taken.
                let second = RelayProcess.arguments(in: sandbox, upstream: simulator.url)
                let ending = try await sandbox.finish("contact-relay", second, environment: environment).ending
                #expect(ending == .exited(75))
                lines = Array(socket.received().dropFirst(lines.count))
                #expect(lines.contains("EXIT_STATUS=75"))
                #expect(lines.contains { $0.hasPrefix("STATUS=another contact-relay uses ") })

                // The configuration is wrong.
                let seen = socket.received().count
                let wrong = try await sandbox.finish(
                    "contact-relay",
                    ["serve", "--set", "a.b=c"],
                    environment: environment
                )
                #expect(wrong.ending == .exited(78))
                #expect(socket.received().dropFirst(seen).contains("EXIT_STATUS=78"))
            }
        }

        @Test("the watchdog is told that all is well as long as it is, and not while the disk hangs in fsync")
        func watchdog() async throws {
            try await withSandbox { sandbox in
                let simulator = try await SimulatorProcess(in: sandbox)
                let socket = try NotifySocket(in: sandbox)
                // A disk that hangs: one call of the commit thread lasts for ten seconds.
                let faults = SystemCallFaults("fsync,fdatasync", delayedBy: .seconds(10), "12+", in: sandbox)
                let relay = try await RelayProcess(
                    in: sandbox,
                    upstream: simulator,
                    ["reads.disk": "0"],
                    environment: ["NOTIFY_SOCKET": socket.path, "WATCHDOG_USEC": "4000000"],
                    faults: faults
                )
                func told() -> Int { socket.received().count { $0 == "WATCHDOG=1" } }
                try await eventually("the watchdog") { told() > 2 }
                #expect(!relay.process.output.contains("no progress"))
                Task { for number in 0..<40 { _ = try? await relay.put("w\(number)", prefer: "respond-async") } }
                try await eventually("silence") { relay.process.output.contains("no progress") }
                #expect(relay.process.output.contains("the commit thread"))
                let before = told()
                try await eventually("a call for help") { socket.received().contains("WATCHDOG=trigger") }
                #expect(told() == before)
                try await relay.kill()
            }
        }
    }
}
