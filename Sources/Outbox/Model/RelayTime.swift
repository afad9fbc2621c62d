/// A moment on the relay's own clock, in milliseconds (design §3.3, "Time").
///
/// It never runs backwards and never leaps: ages, expiry, backoff and retention use it; order uses `sequence` alone.
package struct RelayTime: Hashable, Comparable, Sendable {
    /// Milliseconds since an origin that is kept with the outbox.
    package var milliseconds: Int64

    /// The moment so many milliseconds after the origin.
    package init(milliseconds: Int64) { self.milliseconds = milliseconds }

    package static func < (left: Self, right: Self) -> Bool { left.milliseconds < right.milliseconds }

    package static func + (left: Self, milliseconds: Int64) -> Self {
        let (sum, overflow) = left.milliseconds.addingReportingOverflow(milliseconds)
        return Self(milliseconds: overflow ? (milliseconds < 0 ? .min : .max) : sum)
    }

    package static func - (left: Self, right: Self) -> Int64 {
        let (difference, overflow) = left.milliseconds.subtractingReportingOverflow(right.milliseconds)
        return overflow ? (left < right ? .min : .max) : difference
    }
}
