/// Times as the relay's own documents write them: RFC 3339, UTC.
package enum RFC3339 {
    /// Writes a moment as `2026-01-02T03:04:05.678Z`; outside the years 1 to 9999 the nearest second inside.
    package static func text(millisecondsSinceEpoch: Int64) -> String {
        let (seconds, milliseconds) = CivilTime.floorDivide(millisecondsSinceEpoch, by: 1000)
        return CivilTime(secondsSinceEpoch: seconds)
            .text(separator: UInt8(ascii: "T"), milliseconds: milliseconds, suffix: "Z")
    }
}
