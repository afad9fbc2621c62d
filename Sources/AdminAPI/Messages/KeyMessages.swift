/// The API keys that the queue refers to.
package struct KeyList: Codable, Sendable, Equatable {
    /// One of them, without the key.
    package struct Item: Codable, Sendable, Equatable {
        /// Its fingerprint, all of it, in hexadecimal digits.
        package var fingerprint: String
        /// When it was first seen (RFC 3339).
        package var createdAt: String
        /// When the upstream first took it (RFC 3339).
        package var verifiedAt: String?
        /// When the upstream refused it with 401, if it has not taken it since (RFC 3339).
        package var refusedAt: String?
        /// The fingerprint of the key that replaced it.
        package var successor: String?
        /// Whether the outbox has the key itself, sealed.
        package var sealed: Bool
        /// Its pending writes, as they were accepted with it.
        package var pending: Int
        /// Those of them that are held on a 401.
        package var held: Int
        /// Its dead writes.
        package var dead: Int

        /// Describes a key that was just seen.
        package init(fingerprint: String, createdAt: String) {
            (self.fingerprint, self.createdAt) = (fingerprint, createdAt)
            (sealed, pending, held, dead) = (true, 0, 0, 0)
        }

        /// `replaced`, `refused`, `verified` or `unverified`.
        package var state: String {
            if successor != nil { return "replaced" }
            if refusedAt != nil { return "refused" }
            return verifiedAt == nil ? "unverified" : "verified"
        }
    }

    /// All of them, the oldest first.
    package var keys: [Item]

    /// Describes them.
    package init(_ keys: [Item]) { self.keys = keys }
}

/// The key that takes another one's place.
package struct KeyReplacementRequest: Codable, Sendable {
    /// Bytes that a key has at most.
    package static let maxKeyBytes = 4_096

    /// The key itself; it is in no log.
    package var key: String
    /// The contact to try it with; nil for one that the daemon finds.
    package var contact: ContactName?

    /// Asks for it.
    package init(key: String, contact: ContactName?) { (self.key, self.contact) = (key, contact) }
}

/// What became of it.
package struct KeyReplacementReply: Codable, Sendable, Equatable {
    /// The fingerprint of the new key.
    package var fingerprint: String
    /// The contact that it was tried with.
    package var contact: ContactName
    /// Whether the accounts of the two keys were known, and were the same.
    package var accountCompared: Bool

    /// Describes it.
    package init(fingerprint: String, contact: ContactName, accountCompared: Bool) {
        (self.fingerprint, self.contact, self.accountCompared) = (fingerprint, contact, accountCompared)
    }
}
