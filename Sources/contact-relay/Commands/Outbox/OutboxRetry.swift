import AdminAPI
import ArgumentParser

/// `contact-relay outbox retry`.
struct OutboxRetry: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "retry",
        abstract: "Send dead writes again.",
        discussion: """
            A write is left as it is when a later write to its contact was delivered meanwhile: it would put old values \
            back. --force sends it all the same.
            """
    )

    @OptionGroup var daemon: DaemonOptions
    @OptionGroup var selector: SelectorOptions
    @OptionGroup var confirmation: ConfirmationOptions

    @Flag(help: "Also where a later write was delivered meanwhile: old values come back then.")
    var force = false

    @Flag(help: "Print JSON.")
    var json = false

    func validate() throws { try selector.requireSome() }

    func run() async throws {
        try await ChangeCommand(command: .retry, daemon: daemon, force: force, json: json).run(selector, confirmation)
    }
}
