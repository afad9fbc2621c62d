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

    @Flag(help: "All contacts that are stopped (see hold --list).")
    var stopped = false

    @Flag(help: "Print JSON.")
    var json = false

    func validate() throws {
        guard stopped else { return try selector.requireSome() }
        guard selector.isEmpty, !selector.all else { throw ValidationError("--stopped stands alone.") }
    }

    func run() async throws {
        if stopped { return try await ExitStatus.explaining { try await releaseStopped() } }
        if try await releaseContact() { return }
        try await ChangeCommand(command: .release, daemon: daemon, force: force, json: json)
            .run(selector, confirmation)
    }

    private func releaseStopped() async throws {
        let client = try await daemon.client()
        let contacts = try await client.stoppedContacts().contacts.map {
            ContactName(audienceId: $0.audienceId, contactId: $0.contactId)
        }
        let number = "\(StatusLine.grouped(Int64(contacts.count))) \(contacts.count == 1 ? "contact" : "contacts")"
        if !contacts.isEmpty { try confirmation.require("Let \(number) go on?") }
        var changed = 0
        for start in stride(from: 0, to: contacts.count, by: ContactsRequest.maxContacts) {
            let part = contacts[start..<min(start + ContactsRequest.maxContacts, contacts.count)]
            changed += try await client.release(Array(part)).changed
        }
        if json { try Output.json(ContactsReply(changed: changed)) } else { try Output.print("let go: \(number)") }
    }

    /// Lets the contact go that is named, if it is stopped.
    private func releaseContact() async throws -> Bool {
        guard selector.isContactAlone, let contact = try selector.namedContact() else { return false }
        return try await ExitStatus.explaining {
            let reply = try await daemon.client().release([contact])
            guard reply.changed > 0 else { return false }
            if json { try Output.json(reply) } else { try Output.print("\(contact) goes on") }
            return true
        }
    }
}
