/// UUIDs that follow from what they are for, so that every run has the same ones.
enum DerivedIdentifier {
    /// The contact at `index` of an audience that was filled by count; the seed's own contact comes first in its
    /// audience.
    static func seeded(_ index: Int, in audience: UInt128) -> UInt128 {
        if index == 0, audience == SimulatorSettings.seedAudience { return SimulatorSettings.seedContact }
        return make(UInt64(truncatingIfNeeded: audience) ^ 0x5eed, UInt64(index))
    }

    /// The contact that is made for a number.
    static func created(number: String, in audience: UInt128) -> UInt128 {
        make(UInt64(truncatingIfNeeded: audience) ^ 0xc0de, Fingerprint.hash(number.utf8))
    }

    /// The message that is taken as the n-th.
    static func message(_ index: Int) -> UInt128 { make(0x3e55_a6e5, UInt64(index)) }

    /// A UUID of version 8 (RFC 9562 §5.8).
    private static func make(_ domain: UInt64, _ value: UInt64) -> UInt128 {
        var generator = SplitMix64(seed: domain &+ value &* 0x9e37_79b9_7f4a_7c15)
        let raw = UInt128(generator.next()) << 64 | UInt128(generator.next())
        return raw & ~(0xf << 76 | 0x3 << 62) | 0x8 << 76 | 0x2 << 62
    }
}
