/// What an API key may consist of: visible ASCII, without spaces.
///
/// Anything else would be compared in one way here and in another upstream: text has spellings that Unicode calls equal and
/// that are different bytes, and each byte sequence is a key of its own (P4).
package enum APIKeySyntax {
    /// Bytes of a key at most.
    package static let maxBytes = 4_096

    /// Whether these bytes may be an API key.
    @inlinable
    package static func admits(_ bytes: some Collection<UInt8>) -> Bool {
        let count = bytes.count
        return count > 0 && count <= maxBytes && bytes.allSatisfy { $0 > 0x20 && $0 < 0x7F }
    }
}
