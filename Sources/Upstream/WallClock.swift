import FoundationEssentials

/// The wall clock, for dates in headers and for display; nothing that measures time uses it.
package enum WallClock {
    /// Milliseconds since 1970.
    package static func unixMilliseconds() -> Int64 { Int64(Date.now.timeIntervalSince1970 * 1000) }
    /// Seconds since 1970.
    package static func unixSeconds() -> Int64 { self.unixMilliseconds() / 1000 }
}
