import ArgumentParser
import Foundation
import RelayDaemon

/// The daemon and its operator's tools.
@main
struct ContactRelay: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "contact-relay",
        abstract: "Stands beside apps on localhost and speaks the Dexatel Contacts API to them.",
        version: RelayVersion.text,
        subcommands: [
            Serve.self, Check.self, Status.self, OutboxCommand.self, CacheCommand.self, KeyCommand.self,
        ]
    )

    static func main() async {
        StandardStreams.secure()
        AllocatorLimits.apply()
        do {
            var command = try await asyncParseAsRoot()
            if var asyncCommand = command as? any AsyncParsableCommand {
                try await asyncCommand.run()
            } else {
                try command.run()
            }
            try Output.flush()
        } catch {
            end(error)
        }
    }

    /// Ends the program as ArgumentParser would, but for an output that cannot be written.
    private static func end(_ error: any Error) -> Never {
        let (text, status) = (fullMessage(for: error), exitCode(for: error))
        do {
            if let failure = error as? OutputFailure { throw failure }
            // Also what a command has printed before it failed; help and completions are results, too.
            if status == .success, !text.isEmpty { try Output.print(text) }
            try Output.flush()
        } catch {
            let failure = error as? OutputFailure
            if failure?.isReaderGone != true { ExitStatus.complain("\(error)") }
            Foundation.exit(ExitStatus.inputOutput.rawValue)
        }
        if status != .success, !text.isEmpty { Output.note(text) }
        Foundation.exit(status.rawValue)
    }
}
