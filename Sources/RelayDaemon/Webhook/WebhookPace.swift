import Upstream

/// Decides when a webhook is told again after it has failed: no I/O, no clock, no randomness.
///
/// A failure makes everything pause, so that a receiver which is gone gets one request at a time and few of them; and
/// its own death rests longer than others, so that one that is refused for ever does not stand before them.
struct WebhookPace {
    /// What became of telling a death.
    enum Outcome: Equatable {
        /// A 2xx.
        case told
        /// Anything else, in words; with the receiver's own `Retry-After`.
        case failed(String, retryAfterMilliseconds: Int64? = nil)
    }

    /// The upper ends of the first pause and of every later one.
    static let pause = Backoff(initial: .seconds(1), max: .seconds(300))
    /// The same for the death that could not be told.
    static let rest = Backoff(initial: .seconds(10), max: .seconds(3600))
    /// The longest `Retry-After` that is obeyed.
    static let maxRetryAfterMilliseconds: Int64 = 3_600_000

    private(set) var failuresInARow = 0
    private var pausedUntil: Int64?

    /// How much longer nothing is told, in milliseconds; nil when something may be.
    ///
    /// - Parameter now: Milliseconds of a clock that only goes forward.
    func pauseMilliseconds(now: Int64) -> Int64? {
        pausedUntil.flatMap { $0 > now ? $0 - now : nil }
    }

    /// A death was told.
    mutating func told() {
        failuresInARow = 0
        pausedUntil = nil
    }

    /// A death could not be told.
    ///
    /// - Parameter tellAttempts: How often that had failed before.
    /// - Returns: How long that death rests, in milliseconds.
    mutating func failed(
        tellAttempts: Int64,
        retryAfterMilliseconds: Int64?,
        now: Int64,
        using generator: inout some RandomNumberGenerator
    ) -> Int64 {
        failuresInARow += 1
        let asked = min(max(retryAfterMilliseconds ?? 0, 0), Self.maxRetryAfterMilliseconds)
        let pause = Self.pause.delay(attempt: failuresInARow, using: &generator).wholeMilliseconds
        pausedUntil = now + max(asked, pause, 1)
        let attempt = Int(clamping: min(tellAttempts, 1_000) + 1)
        return max(asked, Self.rest.delay(attempt: attempt, using: &generator).wholeMilliseconds)
    }
}
