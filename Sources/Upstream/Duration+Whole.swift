extension Duration {
    /// The duration in nanoseconds, saturated to what an `Int64` holds (292 years).
    var wholeNanoseconds: Int64 {
        let (seconds, attoseconds) = self.components
        let (scaled, overflowed) = seconds.multipliedReportingOverflow(by: 1_000_000_000)
        let (sum, carried) = scaled.addingReportingOverflow(attoseconds / 1_000_000_000)
        return overflowed || carried ? (seconds < 0 ? .min : .max) : sum
    }

    /// The duration in milliseconds, rounded down towards zero and saturated.
    var wholeMilliseconds: Int64 { self.wholeNanoseconds / 1_000_000 }
}
