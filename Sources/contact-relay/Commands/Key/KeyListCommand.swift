import AdminAPI
import ArgumentParser

/// `contact-relay key list`.
struct KeyListCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "list",
        abstract: "List the API keys that the queue refers to, by fingerprint."
    )

    @OptionGroup var daemon: DaemonOptions

    @Flag(help: "Print JSON.")
    var json = false

    func run() async throws {
        try await ExitStatus.explaining {
            let keys = try await daemon.client().keys()
            if json { try Output.json(keys) } else { try Output.print(KeyListing(keys: keys.keys).text) }
        }
    }
}
