/// The entity tags of bodies that the relay has rendered itself (design §5.4).
package enum OverlayETag {
    /// A strong entity tag (RFC 9110 §8.8.3), quotes included: the same for the same bytes, over restarts too.
    ///
    /// The 128-bit FNV-1a of the body (RFC 9923), behind a prefix that sets it apart from the upstream's tags.
    /// Two versions of one resource meet by chance once in about 2^64. FNV does not resist somebody who builds two
    /// bodies with one hash on purpose, and need not: a tag is compared only with those of the same URL and API key,
    /// and who chooses two values of a contact so that they collide gains a reader who still sees the first, which
    /// not writing the second would have brought as well.
    package static func text(for body: [UInt8]) -> String {
        let hash = fnv1a(body)
        return prefix + digits(UInt64(truncatingIfNeeded: hash >> 64)) + digits(UInt64(truncatingIfNeeded: hash))
            + "\""
    }

    /// A weak entity tag, for bodies that say the same in other bytes.
    package static func weakText(for text: [UInt8]) -> String { "W/" + self.text(for: text) }

    /// Whether a body with this tag was rendered by the relay, so that nothing dates it.
    static func isOne(_ text: String?) -> Bool { text?.hasPrefix(prefix) == true }

    private static let prefix = "\"relay-"

    /// 16 hexadecimal digits.
    private static func digits(_ half: UInt64) -> String {
        let text = String(half, radix: 16)
        return String(repeating: "0", count: UInt64.bitWidth / 4 - text.utf8.count) + text
    }

    /// With the offset basis and the prime that RFC 9923 names for 128 bits, the latter being 2^88 + 0x13B.
    private static func fnv1a(_ bytes: [UInt8]) -> UInt128 {
        var (high, low) = (0x6C62_272E_07BB_0142, 0x62B8_2175_6295_C58D) as (UInt64, UInt64)
        for byte in bytes {
            low ^= UInt64(byte)
            let product = low.multipliedFullWidth(by: 0x13B)
            high = high &* 0x13B &+ product.high &+ low << 24
            low = product.low
        }
        return UInt128(high) << 64 | UInt128(low)
    }
}
