import Foundation

/// A contact, by the identifiers of its audience and its own.
package struct ContactName: Codable, Sendable, Hashable, CustomStringConvertible {
    /// The audience's UUID, in lower case.
    package var audienceId: String
    /// The contact's UUID, in lower case.
    package var contactId: String

    /// Names a contact.
    package init(audienceId: String, contactId: String) {
        (self.audienceId, self.contactId) = (audienceId, contactId)
    }

    /// Reads `AUDIENCE/CONTACT`, with `/`, `:`, `,` or a space between, or the path of a contact; nil for anything else.
    package init?(_ text: String) {
        var parts = text.split { "/:, ".contains($0) }.map(String.init)
        if parts.count == 5, parts[0] == "v1", parts[1] == "audiences", parts[3] == "contacts" {
            parts = [parts[2], parts[4]]
        }
        guard parts.count == 2, UUID(uuidString: parts[0]) != nil, UUID(uuidString: parts[1]) != nil else { return nil }
        self.init(audienceId: parts[0].lowercased(), contactId: parts[1].lowercased())
    }

    /// `AUDIENCE/CONTACT`, which can be read back.
    package var description: String { "\(audienceId)/\(contactId)" }
}
