/// An API key or token: no description, dump or mirror of it shows more than that it is there (P7).
package struct Secret: Sendable, Hashable {
    /// The secret itself, as it goes on the wire.
    package let bytes: [UInt8]

    /// Keeps the bytes of a secret.
    package init(_ bytes: some Sequence<UInt8>) {
        self.bytes = Array(bytes)
    }

    /// Keeps the UTF-8 of a secret.
    package init(_ string: String) {
        self.init(string.utf8)
    }

    /// The secret as text, for the header that carries it and nothing else.
    package var exposedText: String { String(decoding: bytes, as: UTF8.self) }

    /// Compares in a time that depends on the lengths alone, never on where the bytes differ.
    package static func == (one: Secret, other: Secret) -> Bool {
        one.matches(other.bytes)
    }

    /// Whether somebody has shown the same bytes, in a time that depends on the lengths alone.
    package func matches(_ shown: some Collection<UInt8>) -> Bool {
        guard bytes.count == shown.count else { return false }
        var difference: UInt8 = 0
        for (own, other) in zip(bytes, shown) { difference |= own ^ other }
        return difference == 0
    }

    /// Feeds the bytes to the process's seeded hash, which is neither stored nor shown.
    package func hash(into hasher: inout Hasher) {
        hasher.combine(bytes)
    }

    private static let redacted = "<redacted>"
}

extension Secret: CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
    /// Always `<redacted>`.
    package var description: String { Self.redacted }

    /// Always `<redacted>`.
    package var debugDescription: String { Self.redacted }

    /// A mirror of `<redacted>`, without children.
    package var customMirror: Mirror { Mirror(reflecting: Self.redacted) }
}
