import AdminAPI
import ArgumentParser

/// `contact-relay outbox release`.
struct OutboxRelease: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "release",
        abstract: "Let stopped contacts and held writes go.",
        discussion: """
            A contact that is named goes on with all its writes, in order. Other held writes are let go if no later write \
            to their contact was delivered meanwhile; --force lets them go all the same. Writes of a key that the \
            upstream refuses stay until it takes the key again, or the key is replaced.
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
        if try await releaseContact() { return }
        try await ChangeCommand(command: .release, daemon: daemon, force: force, json: json)
            .run(selector, confirmation)
    }

    /// Lets the contact go that is named, if it is stopped.
    private func releaseContact() async throws -> Bool {
        guard selector.isContactAlone, let contact = try selector.namedContact() else { return false }
        return try await ExitStatus.explaining {
            let reply = try await daemon.client().release([contact])
            guard reply.changed > 0 else { return false }
            if json { try Output.json(reply) } else { print("\(contact) goes on") }
            return true
        }
    }
}
