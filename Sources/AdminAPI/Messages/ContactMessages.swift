/// Contacts to stop, or to let go.
package struct ContactsRequest: Codable, Sendable, Equatable {
    /// Contacts in one request at most (P8).
    package static let maxContacts = 1_000

    /// The contacts.
    package var contacts: [ContactName]

    /// Names contacts.
    package init(_ contacts: [ContactName]) { self.contacts = contacts }
}

/// What became of it.
package struct ContactsReply: Codable, Sendable, Equatable {
    /// How many contacts were stopped, or let go.
    package var changed: Int

    /// Describes it.
    package init(changed: Int) { self.changed = changed }
}

/// The contacts that are stopped.
package struct StoppedContacts: Codable, Sendable, Equatable {
    /// One of them.
    package struct Item: Codable, Sendable, Equatable {
        /// The audience's UUID.
        package var audienceId: String
        /// The contact's UUID.
        package var contactId: String
        /// Since when (RFC 3339).
        package var stoppedAt: String

        /// Describes one.
        package init(_ contact: ContactName, stoppedAt: String) {
            (audienceId, contactId, self.stoppedAt) = (contact.audienceId, contact.contactId, stoppedAt)
        }
    }

    /// All of them, the longest stopped first.
    package var contacts: [Item]

    /// Describes them.
    package init(_ contacts: [Item]) { self.contacts = contacts }
}
