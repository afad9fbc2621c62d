import AdminAPI
import ArgumentParser
import Foundation
import Outbox
import RelayDaemon

/// `contact-relay outbox check`.
struct OutboxCheck: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "check",
        abstract: "Look through the whole outbox for damage, and count everything again.",
        discussion: """
            The running daemon does it, beside its work. When none runs, this command reads the outbox of the state \
            directory itself, and keeps a daemon from starting meanwhile. It ends with 74 when something is wrong.
            """
    )

    @OptionGroup var daemon: DaemonOptions

    @Flag(help: "Print JSON.")
    var json = false

    func run() async throws {
        try await ExitStatus.explaining {
            let reply: CheckReply
            do {
                reply = try await daemon.client().check()
            } catch let failure as AdminClient.Failure {
                guard daemon.socket == nil, let offline = try await checkOffline() else { throw failure }
                reply = offline
            }
            if json { try Output.json(reply) } else { try Output.print(Self.text(reply)) }
            if !reply.findings.isEmpty { throw ExitStatus.inputOutput }
        }
    }

    /// Nil where there is no outbox, or a daemon has it.
    private func checkOffline() async throws -> CheckReply? {
        let directory = try await daemon.configuration.load().state.directory
        let found: [String]?
        do {
            found = try await Outbox.check(stateDirectory: directory)
        } catch let error as OutboxError where error.code == .alreadyRunning {
            return nil
        }
        guard let findings = found else { return nil }
        if !json { Output.note("no daemon runs; reading \(directory) itself") }
        return CheckReply(findings: findings)
    }

    private static func text(_ reply: CheckReply) -> String {
        guard !reply.findings.isEmpty else { return "the outbox is whole" }
        let lines = reply.findings.map { "  " + TerminalText.plain($0) }
        return (["THE OUTBOX IS DAMAGED:"] + lines).joined(separator: "\n")
    }
}
