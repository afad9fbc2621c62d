/// One contact of one audience: the identity of a lane (P3), whatever the case its identifiers were written in.
package struct ContactReference: Hashable, Sendable {
    /// The audience's UUID.
    package let audience: UInt128
    /// The contact's UUID.
    package let contact: UInt128

    /// Names a contact by the values of its two UUIDs.
    package init(audience: UInt128, contact: UInt128) {
        self.audience = audience
        self.contact = contact
    }

    /// Names a contact by the texts of its two UUIDs, of either case; nil where one is not a UUID.
    package init?(audience: some StringProtocol, contact: some StringProtocol) {
        guard let audience = UUIDText.parse(audience.utf8), let contact = UUIDText.parse(contact.utf8) else {
            return nil
        }
        self.init(audience: audience, contact: contact)
    }

    /// Reads what `bytes` gave: 32 bytes, audience before contact, both big-endian; nil for any other count.
    package init?(bytes: some Collection<UInt8>) {
        guard bytes.count == Self.byteCount else { return nil }
        func value(_ half: some Sequence<UInt8>) -> UInt128 { half.reduce(0) { $0 << 8 | UInt128($1) } }
        self.init(audience: value(bytes.prefix(16)), contact: value(bytes.dropFirst(16)))
    }

    /// The number of `bytes`.
    package static let byteCount = 32

    /// The identity as 32 bytes, audience before contact, both big-endian: what the outbox stores.
    package var bytes: [UInt8] {
        [UInt8](unsafeUninitializedCapacity: Self.byteCount) { buffer, count in
            for index in 0..<16 {
                let shift = UInt128(120 - 8 * index)
                buffer.initializeElement(at: index, to: UInt8(truncatingIfNeeded: audience >> shift))
                buffer.initializeElement(at: 16 + index, to: UInt8(truncatingIfNeeded: contact >> shift))
            }
            count = Self.byteCount
        }
    }

    /// The audience's identifier in lower case.
    package var audienceText: String { UUIDText.text(audience) }

    /// The contact's identifier in lower case.
    package var contactText: String { UUIDText.text(contact) }

    /// The canonical path, `/v1/audiences/…/contacts/…`.
    package var path: String { text(withContact: true) }

    /// The canonical path of its audience's contacts, `/v1/audiences/…/contacts`.
    package var listPath: String { text(withContact: false) }

    /// In one piece, as each delivery needs it several times.
    private func text(withContact: Bool) -> String {
        let (start, end): (StaticString, StaticString) = ("/v1/audiences/", "/contacts")
        let length = start.utf8CodeUnitCount + UUIDText.length + end.utf8CodeUnitCount
        let total = withContact ? length + 1 + UUIDText.length : length
        return String(unsafeUninitializedCapacity: total) { buffer in
            start.withUTF8Buffer { _ = UnsafeMutableBufferPointer(rebasing: buffer[..<$0.count]).update(from: $0) }
            var position = start.utf8CodeUnitCount
            UUIDText.write(
                audience,
                to: UnsafeMutableBufferPointer(rebasing: buffer[position..<position + UUIDText.length])
            )
            position += UUIDText.length
            end.withUTF8Buffer { text in
                _ = UnsafeMutableBufferPointer(rebasing: buffer[position..<position + text.count]).update(from: text)
            }
            guard withContact else { return length }
            buffer[length] = UInt8(ascii: "/")
            UUIDText.write(contact, to: UnsafeMutableBufferPointer(rebasing: buffer[(length + 1)..<total]))
            return total
        }
    }
}
