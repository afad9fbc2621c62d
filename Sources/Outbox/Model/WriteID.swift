/// The opaque name of one accepted write, as clients see it in `Contact-Relay-Write` and in receipts.
///
/// It is the write's sequence and a random nonce in 26 characters of Crockford's base 32, so that a receipt is found
/// by its primary key without a second index, and a name from another outbox never finds a stranger's receipt.
package struct WriteID: Hashable, Sendable, CustomStringConvertible {
    /// The place in the order of commit (P3).
    package let sequence: Int64
    /// Random bits that were drawn when the write was accepted.
    package let nonce: Int64

    /// Names the write with this sequence and nonce.
    package init(sequence: Int64, nonce: Int64) {
        self.sequence = sequence
        self.nonce = nonce
    }

    private static let alphabet = Array("0123456789abcdefghjkmnpqrstvwxyz".utf8)
    private static let length = 26

    /// Reads a name as `description` wrote it; nil for anything else.
    package init?(_ text: some StringProtocol) {
        let utf8 = text.utf8
        guard utf8.count == Self.length else { return nil }
        var value: UInt128 = 0
        for (index, byte) in utf8.enumerated() {
            guard let digit = Self.alphabet.firstIndex(of: byte) else { return nil }
            if index == 0, digit > 7 { return nil }
            value = value << 5 | UInt128(digit)
        }
        self.sequence = Int64(truncatingIfNeeded: value >> 64)
        self.nonce = Int64(truncatingIfNeeded: value)
        guard sequence > 0 else { return nil }
    }

    package var description: String {
        var value = UInt128(UInt64(bitPattern: sequence)) << 64 | UInt128(UInt64(bitPattern: nonce))
        return String(unsafeUninitializedCapacity: Self.length) { buffer in
            for index in stride(from: Self.length - 1, through: 0, by: -1) {
                buffer[index] = Self.alphabet[Int(value & 31)]
                value >>= 5
            }
            return Self.length
        }
    }
}
