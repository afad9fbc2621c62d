package import Foundation

/// A write outside of an outbox: one line of an export.
///
/// Its key is sealed, and opens under the same master key alone (P7); its body is plain.
package struct ExportedWriteLine: Codable, Sendable, Equatable {
    /// The version of this form.
    package var version: Int
    /// Its name in the outbox that it comes from.
    package var id: String
    /// Where it was there.
    package var state: String
    /// PUT or DELETE.
    package var method: String
    /// The audience's UUID.
    package var audienceId: String
    /// The contact's UUID.
    package var contactId: String
    /// The request target.
    package var target: String
    /// Name and value of each header that is sent.
    package var headers: [[String]]
    /// The body (base 64 in JSON).
    package var body: Data
    /// When it was accepted: milliseconds since 1970.
    package var acceptedAtMilliseconds: Int64
    /// The fingerprint of its key (base 64 in JSON).
    package var keyFingerprint: Data
    /// Its key, sealed; nil when the outbox did not have it any more.
    package var sealedKey: Data?
    /// The identifier of the master key that it is sealed under.
    package var masterKey: Data

    /// Puts a line together.
    package init(
        version: Int,
        id: String,
        state: String,
        method: String,
        contact: ContactName,
        target: String,
        headers: [[String]],
        body: Data,
        acceptedAtMilliseconds: Int64,
        keyFingerprint: Data,
        sealedKey: Data?,
        masterKey: Data
    ) {
        (self.version, self.id, self.state, self.method) = (version, id, state, method)
        (audienceId, contactId) = (contact.audienceId, contact.contactId)
        (self.target, self.headers, self.body) = (target, headers, body)
        self.acceptedAtMilliseconds = acceptedAtMilliseconds
        (self.keyFingerprint, self.sealedKey, self.masterKey) = (keyFingerprint, sealedKey, masterKey)
    }
}

/// A part of an export.
package struct ExportPage: Codable, Sendable, Equatable {
    /// The writes, in the order of sequence.
    package var writes: [ExportedWriteLine]
    /// Where to go on; nil when nothing more is there.
    ///
    /// A part may be empty and not the last.
    package var next: Int64?

    /// Describes a part.
    package init(writes: [ExportedWriteLine], next: Int64?) { (self.writes, self.next) = (writes, next) }
}

/// Writes to take in: all of them or none.
package struct ImportRequest: Codable, Sendable, Equatable {
    /// Writes in one request at most (P8).
    package static let maxWrites = 256

    /// The writes, in the order in which they are to go.
    package var writes: [ExportedWriteLine]

    /// Asks for them.
    package init(_ writes: [ExportedWriteLine]) { self.writes = writes }
}

/// What they are called now.
package struct ImportReply: Codable, Sendable, Equatable {
    /// Their names here, in the same order.
    package var ids: [String]

    /// Describes it.
    package init(ids: [String]) { self.ids = ids }
}
