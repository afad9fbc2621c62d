import ArgumentParser

/// `contact-relay key`.
struct KeyCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "key",
        abstract: "Look at the API keys that the queue refers to, and replace them.",
        subcommands: [KeyListCommand.self, KeyReplace.self],
        defaultSubcommand: KeyListCommand.self
    )
}
