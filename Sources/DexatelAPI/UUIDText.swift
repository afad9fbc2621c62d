/// The text form of UUIDs: `xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx` (RFC 9562 §4), upper or lower case in, lower out.
package enum UUIDText {
    /// The number of bytes of a UUID's text.
    package static let length = 36

    /// Reads a UUID: exactly 36 bytes, hexadecimal digits of either case, hyphens in their places; nil otherwise.
    ///
    /// Every version and variant is taken: which ones the upstream issues is not documented.
    package static func parse(_ utf8: some Collection<UInt8>) -> UInt128? {
        if let result = utf8.withContiguousStorageIfAvailable({ parseContiguous($0) }) { return result }
        guard utf8.count == length else { return nil }
        return ContiguousArray(utf8).withUnsafeBufferPointer { parseContiguous($0) }
    }

    /// Writes a UUID in lower case.
    package static func text(_ value: UInt128) -> String {
        String(unsafeUninitializedCapacity: length) { buffer in
            write(value, to: UnsafeMutableBufferPointer(rebasing: buffer[..<length]))
            return length
        }
    }

    /// Writes a UUID in lower case to as many bytes as that takes.
    static func write(_ value: UInt128, to buffer: UnsafeMutableBufferPointer<UInt8>) {
        var position = 0
        for index in 0..<16 {
            if index == 4 || index == 6 || index == 8 || index == 10 {
                buffer[position] = hyphen
                position += 1
            }
            let byte = UInt8(truncatingIfNeeded: value >> UInt128(120 - 8 * index))
            buffer[position] = HexDigit.digit(byte >> 4)
            buffer[position + 1] = HexDigit.digit(byte & 0x0F)
            position += 2
        }
    }

    /// `parse` for bytes that lie side by side: four words of eight digits each, no loop.
    static func parseContiguous(_ text: UnsafeBufferPointer<UInt8>) -> UInt128? {
        guard text.count == length, let start = text.baseAddress,
            text[8] == hyphen, text[13] == hyphen, text[18] == hyphen, text[23] == hyphen
        else { return nil }
        let bytes = UnsafeRawPointer(start)
        func half(_ offset: Int) -> UInt64 {
            UInt64(UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: offset, as: UInt32.self)))
        }
        func whole(_ offset: Int) -> UInt64 {
            UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: offset, as: UInt64.self))
        }
        guard let first = value(eightDigits: whole(0)),
            let second = value(eightDigits: half(9) | half(14) << 32),
            let third = value(eightDigits: half(19) | half(24) << 32),
            let fourth = value(eightDigits: whole(28))
        else { return nil }
        return UInt128(first << 32 | second) << 64 | UInt128(third << 32 | fourth)
    }

    private static let hyphen = UInt8(ascii: "-")

    /// The value of eight hexadecimal digits, the first in the lowest byte, all eight judged at once.
    @inline(__always)
    private static func value(eightDigits word: UInt64) -> UInt64? {
        let ones: UInt64 = 0x0101_0101_0101_0101
        let tops: UInt64 = 0x8080_8080_8080_8080
        /// The top bit of each byte of `word` that is at least `bound`; both below 0x80, so nothing is borrowed.
        func atLeast(_ bound: UInt64, _ word: UInt64) -> UInt64 { ((word | tops) &- bound &* ones) & tops }

        guard word & tops == 0 else { return nil }
        let digits = atLeast(0x30, word) & ~atLeast(0x3A, word)
        let lowered = word | 0x20 &* ones
        let letters = atLeast(0x61, lowered) & ~atLeast(0x67, lowered)
        guard digits | letters == tops else { return nil }

        var value = (word & (0x0F &* ones)) &+ (letters >> 7) &* 9
        value = (value << 4 | value >> 8) & 0x00FF_00FF_00FF_00FF
        value = (value << 8 | value >> 16) & 0x0000_FFFF_0000_FFFF
        return (value << 16 | value >> 32) & 0xFFFF_FFFF
    }
}
