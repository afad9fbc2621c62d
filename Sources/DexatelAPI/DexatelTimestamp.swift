/// The upstream's way of writing times.
package enum DexatelTimestamp {
    /// Writes a moment as `yyyy-MM-dd HH:mm:ss`, UTC; outside the years 1 to 9999 the nearest moment inside.
    package static func text(secondsSinceEpoch: Int64) -> String {
        CivilTime(secondsSinceEpoch: secondsSinceEpoch).text(separator: UInt8(ascii: " "))
    }
}
