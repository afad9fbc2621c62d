import AdminAPI
import ArgumentParser

/// `contact-relay outbox discard`.
struct OutboxDiscard: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "discard",
        abstract: "End writes that have not been delivered, for good.",
        discussion: "Their bodies are gone then; their receipts say discarded. It asks first, or takes --yes."
    )

    @OptionGroup var daemon: DaemonOptions
    @OptionGroup var selector: SelectorOptions
    @OptionGroup var confirmation: ConfirmationOptions

    @Flag(help: "Print JSON.")
    var json = false

    func validate() throws { try selector.requireSome() }

    func run() async throws {
        try await ChangeCommand(command: .discard, daemon: daemon, force: false, json: json)
            .run(selector, confirmation)
    }
}
