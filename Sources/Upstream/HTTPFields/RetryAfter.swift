import DexatelAPI

/// The `Retry-After` field (RFC 9110 §10.2.3), in both its forms.
package enum RetryAfter {
    /// Longer delays are cut to this (RFC 9111 §1.2.2 has the same bound); callers have much lower ones of their own.
    private static let maxSeconds: Int64 = 1 << 31

    /// Reads a field value as the time to wait from now, or `nil` if it is neither form.
    ///
    /// A date is taken relative to the reply's own `Date`, so that a host with a wrong clock waits as long as the
    /// upstream meant; only without one is it taken relative to `nowUnixSeconds`. A date in the past is zero.
    package static func parse(
        _ value: String,
        replyDate: String?,
        nowUnixSeconds: @autoclosure () -> Int64 = WallClock.unixSeconds()
    ) -> Duration? {
        let trimmed = value.utf8.trimmingOptionalWhitespace()
        if let seconds = self.deltaSeconds(trimmed) {
            return .seconds(seconds)
        }
        let now = nowUnixSeconds()
        guard let until = HTTPDate.parse(String(Substring(trimmed)), nowUnixSeconds: now) else { return nil }
        let from = replyDate.flatMap { HTTPDate.parse($0, nowUnixSeconds: now) } ?? now
        return .seconds(min(max(0, until - from), self.maxSeconds))
    }

    private static func deltaSeconds(_ text: Substring.UTF8View) -> Int64? {
        guard !text.isEmpty else { return nil }
        var seconds: Int64 = 0
        for byte in text {
            guard (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) else { return nil }
            seconds = min(seconds * 10 + Int64(byte - UInt8(ascii: "0")), self.maxSeconds)
        }
        return seconds
    }
}
