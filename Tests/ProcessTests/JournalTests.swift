import Foundation
import TestSupport
import Testing

extension ProcessTests {
    @Suite struct JournalTests {
        @Test(
            "without the journal's socket the log goes to its stream, as lines with priorities",
            .enabled(if: !FileManager.default.fileExists(atPath: "/run/systemd/journal/socket"))
        )
        func fallback() async throws {
            try await withSandbox { sandbox in
                let simulator = try await SimulatorProcess(in: sandbox)
                let script = #"JOURNAL_STREAM=$(stat -Lc %d:%i /dev/stderr) exec "$0" "$@""#
                let arguments = RelayProcess.arguments(in: sandbox, upstream: simulator.url)
                let process = sandbox.spawn("bash", ["-c", script, "contact-relay"] + arguments)
                try await eventually("a line") { process.output.contains("<5>started ") }
                process.signal(15)
                #expect(try await process.waitForEnd() == .exited(0))
                #expect(process.output.split(separator: "\n").allSatisfy { $0.hasPrefix("<") })
            }
        }

        @Test("a variable that was inherited, and names another stream, does not change the log")
        func inheritedVariable() async throws {
            try await withSandbox { sandbox in
                let simulator = try await SimulatorProcess(in: sandbox)
                let environment = ["JOURNAL_STREAM": "1:2"]
                let relay = try await RelayProcess(in: sandbox, upstream: simulator, environment: environment)
                try await eventually("the line") { relay.process.output.contains(" notice started ") }
            }
        }
    }
}
