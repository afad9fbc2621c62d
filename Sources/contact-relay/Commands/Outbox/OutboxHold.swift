import AdminAPI
import ArgumentParser

/// `contact-relay outbox hold`.
struct OutboxHold: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "hold",
        abstract: "Stop contacts: nothing is sent for them until they are released.",
        discussion: """
            The contact that is named, or the contacts of the writes that are meant. Writes to them are still accepted; \
            what is being sent just now ends. It lasts over restarts.
            """
    )

    @OptionGroup var daemon: DaemonOptions
    @OptionGroup var selector: SelectorOptions
    @OptionGroup var confirmation: ConfirmationOptions

    @Flag(help: "List the contacts that are stopped.")
    var list = false

    @Flag(help: "Print JSON.")
    var json = false

    func validate() throws {
        if !list { try selector.requireSome() }
    }

    func run() async throws {
        try await ExitStatus.explaining {
            let client = try await daemon.client()
            if list { return try await printList(client) }
            let contacts = try await contacts(client)
            if !(selector.isContactAlone && !selector.isEmpty), !contacts.isEmpty {
                let number = StatusLine.grouped(Int64(contacts.count))
                try confirmation.require("Stop \(number) \(contacts.count == 1 ? "contact" : "contacts")?")
            }
            var changed = 0
            for start in stride(from: 0, to: contacts.count, by: ContactsRequest.maxContacts) {
                let part = contacts[start..<min(start + ContactsRequest.maxContacts, contacts.count)]
                changed += try await client.hold(Array(part)).changed
            }
            if json { return try Output.json(ContactsReply(changed: changed)) }
            let were = contacts.count - changed
            try Output.print(
                "\(changed) \(changed == 1 ? "contact" : "contacts") stopped"
                    + (were > 0 ? ", \(were) were already" : "")
            )
        }
    }

    /// The contact that is named, or those of the writes that are meant, each once.
    private func contacts(_ client: AdminClient) async throws -> [ContactName] {
        if selector.isContactAlone, let contact = try selector.namedContact() { return [contact] }
        var selectors = try selector.selectors()
        for index in selectors.indices where selectors[index].states == nil {
            selectors[index].states = WriteSelector.openStates
        }
        var (contacts, seen): ([ContactName], Set<ContactName>) = ([], [])
        try await SelectedWrites(client, selectors).forEach { write in
            if seen.insert(write.contact).inserted { contacts.append(write.contact) }
        }
        return contacts
    }

    private func printList(_ client: AdminClient) async throws {
        let stopped = try await client.stoppedContacts()
        if json { return try Output.json(stopped) }
        for contact in stopped.contacts {
            try Output.print("\(contact.audienceId)/\(contact.contactId)\n  stopped at \(contact.stoppedAt)")
        }
        try Output.print(stopped.contacts.isEmpty ? "no contact is stopped" : "-- \(stopped.contacts.count) stopped")
    }
}
