import ArgumentParser
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
}
