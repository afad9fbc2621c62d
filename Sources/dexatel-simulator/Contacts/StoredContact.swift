import DexatelAPI

/// One contact as the simulated upstream holds it.
struct StoredContact: Sendable, Equatable {
    let reference: ContactReference
    private(set) var texts: [ContactAttribute: String] = [:]
    private(set) var tags: [String]?
    let createdSeconds: Int64
    private(set) var updatedSeconds: Int64

    init(_ reference: ContactReference, createdSeconds: Int64) {
        self.reference = reference
        self.createdSeconds = createdSeconds
        self.updatedSeconds = createdSeconds
    }

    var number: String? { texts[.number] }

    /// Lays a change over the contact; null clears a field.
    mutating func apply(_ change: ContactChange, semantics: SimulatorSettings.PutSemantics, atSeconds: Int64) {
        if semantics == .replace {
            // The number is what the contact is, not a detail of it.
            texts = texts.filter { $0.key == .number }
            tags = nil
        }
        for (attribute, text) in change.texts {
            texts[attribute] = text
        }
        if change.namesTags { tags = change.tags }
        updatedSeconds = atSeconds
    }

    /// Whether the number or a name holds a text, in any case.
    func matches(search lowercased: String) -> Bool {
        [ContactAttribute.number, .firstName, .lastName].contains {
            texts[$0]?.lowercased().contains(lowercased) == true
        }
    }

    /// Writes the contact object; `links` are there if `base` is, the scheme and authority of URLs.
    func write(to writer: inout JSONWriter, linkBase base: String?) {
        let account = UUIDText.text(SimulatorSettings.account)
        writer.beginObject()
        writer.member("id", reference.contactText)
        writer.member("account_id", account)
        writer.member("audience_id", reference.audienceText)
        for attribute in ContactAttribute.allCases {
            if let text = texts[attribute] { writer.member(attribute.rawValue, text) }
        }
        if let tags {
            writer.name("tags")
            writer.beginArray()
            for tag in tags {
                writer.element()
                writer.text(tag)
            }
            writer.endArray()
        }
        writer.member("create_date", DexatelTimestamp.text(secondsSinceEpoch: createdSeconds))
        writer.member("update_date", DexatelTimestamp.text(secondsSinceEpoch: updatedSeconds))
        if let base {
            writer.name("links")
            writer.beginObject()
            writer.member("self", base + reference.path)
            writer.member("account", "\(base)/v1/accounts/\(account)")
            writer.member("audience", "\(base)/v1/audiences/\(reference.audienceText)")
            writer.endObject()
        }
        writer.endObject()
    }
}
