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
        subcommands: [Serve.self, Check.self, Status.self]
    )

    static func main() async {
        AllocatorLimits.apply()
        await main(nil)
    }
}

/// The exit statuses of design §2.3.
enum ExitStatus {
    static let usage = ExitCode(64)
    static let unavailable = ExitCode(69)
    static let inputOutput = ExitCode(74)
    static let alreadyRunning = ExitCode(75)
    static let configuration = ExitCode(78)

    /// Says on standard error why the command ends.
    static func complain(_ message: String) {
        FileHandle.standardError.write(Data("contact-relay: \(message)\n".utf8))
    }
}
