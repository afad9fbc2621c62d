import Foundation
import NIOHTTP1
import TestSupport
import Testing

extension ProcessTests {
    /// Descriptors are a bound like any other: raised where possible, looked after, and nobody else's fault.
    @Suite struct DescriptorTests {
        private func relay(
            _ sandbox: Sandbox,
            _ simulator: SimulatorProcess,
            limits: String
        ) async throws -> RelayProcess {
            let arguments = RelayProcess.arguments(in: sandbox, upstream: simulator.url)
            let script = #"ulimit \#(limits) && exec "$0" "$@""#
            return try await RelayProcess(sandbox.spawn("bash", ["-c", script, "contact-relay"] + arguments))
        }

        @Test func `the soft limit of open files is raised to the hard one`() async throws {
            try await withSandbox { sandbox in
                let simulator = try await SimulatorProcess(in: sandbox)
                let relay = try await relay(sandbox, simulator, limits: "-Sn 100")
                let pid = try await relay.process.pid()
                let limits = try String(contentsOfFile: "/proc/\(pid)/limits", encoding: .utf8)
                let line = limits.split(separator: "\n").first { $0.hasPrefix("Max open files") }
                let numbers = line?.split(separator: " ").dropFirst(3).prefix(2)
                #expect(numbers?.first == numbers?.last && numbers?.first != "100")
                #expect(try await relay.metric("contact_relay_max_connections") == 4_096)
            }
        }

        @Test
        func `under a low hard limit fewer clients are served, the others are told so, and the upstream is reached`()
            async throws
        {
            try await withSandbox { sandbox in
                let simulator = try await SimulatorProcess(in: sandbox)
                let relay = try await relay(sandbox, simulator, limits: "-n 100")
                #expect(relay.process.output.contains("the limit of open files is too low"))
                let limit = Int(try await relay.metric("contact_relay_max_connections"))
                #expect((8..<100).contains(limit))
                var connections: [RawConnection] = []
                for _ in 0..<150 { connections.append(try RawConnection(port: relay.port)) }
                let told = await connections[149].receive()
                #expect(told.hasPrefix("HTTP/1.1 503") && told.contains("too_many_connections"), "\(told)")
                // The first is served, and reaches the upstream.
                let first = connections[0]
                await first.send(
                    "GET \(Samples.target) HTTP/1.1\r\nHost: localhost\r\nX-Dexatel-Key: \(Samples.key)\r\n\r\n"
                )
                let reply = await first.receive { $0.contains("\r\n\r\n") }
                #expect(reply.hasPrefix("HTTP/1.1 200") || reply.hasPrefix("HTTP/1.1 404"), "\(reply)")
                connections = []
                try await eventually("a client that is served again") {
                    (try? await relay.send(.GET, "/_relay/live").status) == 200
                }
            }
        }

        @Test func `a hard limit that leaves nothing sensible ends the start with status 78`() async throws {
            try await withSandbox { sandbox in
                let arguments = RelayProcess.arguments(in: sandbox, upstream: "http://127.0.0.1:9")
                let script = #"ulimit -n 50 && exec "$0" "$@""#
                let result = try await sandbox.finish("bash", ["-c", script, "contact-relay"] + arguments)
                #expect(result.ending == .exited(78) && result.output.contains("LimitNOFILE"), "\(result)")
            }
        }

        @Test func `without a free descriptor the listener rests, says so once, and goes on by itself`() async throws {
            try await withSandbox { sandbox in
                let simulator = try await SimulatorProcess(in: sandbox)
                let relay = try await RelayProcess(in: sandbox, upstream: simulator)
                let (pid, kept) = (try await relay.process.pid(), try RawConnection(port: relay.port))
                #expect(try await failures(kept) == 0)
                // Fewer than are open: nothing new can be had until the limit is back.
                let setLimit = { (soft: String) in
                    let result = try await sandbox.finish("prlimit", ["--pid=\(pid)", "--nofile=\(soft):"])
                    #expect(result.ending == .exited(0), "\(result.output)")
                }
                try await setLimit("3")
                let waiting = try (0..<20).map { _ in try RawConnection(port: relay.port) }
                try await eventually("the line") { relay.process.output.contains("connections cannot be accepted") }
                // One a rest, where a loop that does not rest makes tens of thousands in the time of a few.
                var count = 0
                try await eventually("some more failures") {
                    count = try await failures(kept)
                    return count >= 5
                }
                #expect(count < 1_000)
                try await setLimit("1024")
                for connection in waiting {
                    await connection.send("GET /_relay/live HTTP/1.1\r\nHost: localhost\r\n\r\n")
                    let reply = await connection.receive { $0.contains("\r\n\r\n") }
                    #expect(reply.hasPrefix("HTTP/1.1 200"))
                }
                let lines = relay.process.output.split(separator: "\n")
                #expect(lines.filter { $0.contains("connections cannot be accepted") }.count == 1)
            }
        }

        /// Accepts that failed, as a connection hears of them that was accepted before.
        private func failures(_ connection: RawConnection) async throws -> Int {
            await connection.send("GET /_relay/metrics HTTP/1.1\r\nHost: localhost\r\n\r\n")
            let name = "\ncontact_relay_accept_failures_total "
            let text = await connection.receive { text in
                // The whole reply, so that the next one begins where it ends.
                guard let head = text.range(of: "\r\n\r\n"), let length = text.range(of: "Content-Length: ") else {
                    return false
                }
                let count = Int(text[length.upperBound...].prefix { $0.isNumber }) ?? .max
                return text[head.upperBound...].utf8.count >= count
            }
            let value = text.range(of: name).flatMap { Int(text[$0.upperBound...].prefix { $0.isNumber }) }
            return try #require(value)
        }
    }
}
