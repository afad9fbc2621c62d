import DexatelAPI

/// Notices when everything that is delivered is answered by something that is not the API: a maintenance page, a redirect
/// to a login, a firewall.
///
/// The same reply to a few contacts in a row makes it an outage: delivery pauses, and one write at a time finds out whether it is over.
struct ForeignReplies: Sendable {
    /// Contacts in a row that make it an outage.
    static let maxContacts = 5

    /// What an operator is to know.
    enum Notice: Sendable, Equatable {
        /// Delivery pauses; the reply in words.
        case began(String)
        /// The API answers again.
        case ended
    }

    /// Whether delivery pauses.
    private(set) var isPausing = false
    private var contacts: Set<ContactReference> = []
    /// What they were all answered.
    private var reason: String?
    private var notice: Notice?

    /// Takes a reply that is not the API's; true if delivery pauses now, or goes on pausing.
    mutating func note(_ contact: ContactReference, reason: String) -> Bool {
        guard !isPausing else { return true }
        // Another page is another matter: what stands in the way of everything answers everything alike.
        if reason != self.reason { contacts = [] }
        self.reason = reason
        contacts.insert(contact)
        guard contacts.count >= Self.maxContacts else { return false }
        isPausing = true
        notice = .began(reason)
        return true
    }

    /// Takes a reply of the API's own; true if that ends a pause.
    mutating func end() -> Bool {
        contacts = []
        guard isPausing else { return false }
        isPausing = false
        // Nothing to say of a beginning that has not been said.
        notice = notice == nil ? .ended : nil
        return true
    }

    /// What has happened since the last time.
    mutating func takeNotice() -> Notice? { notice.take() }
}
