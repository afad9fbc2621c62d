/// What an API key may consist of: visible ASCII, without spaces.
///
/// Anything else would be compared in one way here and in another upstream: text has spellings that Unicode calls equal and
/// that are different bytes, and each byte sequence is a key of its own (P4).
package enum APIKeySyntax {
    /// Bytes of a key at most.
    package static let maxBytes = 4_096

    /// Whether these bytes may be an API key.
    package static func admits(_ bytes: some Collection<UInt8>) -> Bool {
        Array(bytes).withUnsafeBytes { admits($0) }
    }

    /// Whether these bytes may be an API key; asked with each request.
    package static func admits(_ bytes: UnsafeRawBufferPointer) -> Bool {
        guard !bytes.isEmpty, bytes.count <= maxBytes else { return false }
        for byte in bytes where byte <= 0x20 || byte >= 0x7F { return false }
        return true
    }
}
