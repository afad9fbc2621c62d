import Foundation

/// The relay's clock: the monotonic clock while running, and over a restart the wall clock's difference, not below 0
/// and at most an hour (design §3.3), so that a host whose clock is set wrong neither expires nor revives anything.
package final class RelayClock: Sendable {
    /// The most that a restart may advance the clock by.
    static let maxRestartAdvanceMilliseconds: Int64 = 3_600_000

    /// The clocks of the host that it goes by; tests bring their own.
    package struct Source: Sendable {
        /// The wall clock: milliseconds since 1970.
        package var wallMilliseconds: @Sendable () -> Int64
        /// The monotonic clock.
        package var monotonic: @Sendable () -> ContinuousClock.Instant

        /// The host's own.
        package static let host = Source(wallMilliseconds: RelayClock.wallMilliseconds, monotonic: { .now })

        /// Goes by other clocks.
        package init(
            wallMilliseconds: @escaping @Sendable () -> Int64,
            monotonic: @escaping @Sendable () -> ContinuousClock.Instant
        ) {
            (self.wallMilliseconds, self.monotonic) = (wallMilliseconds, monotonic)
        }
    }

    private let source: Source
    private let startedAt: Int64
    private let started: ContinuousClock.Instant

    /// Starts a clock that goes on where the saved one stood; nil starts a new one at the wall clock's time.
    package init(savedRelay: Int64?, savedWall: Int64?, source: Source = .host) {
        self.source = source
        startedAt = Self.resumed(savedRelay, savedWall, source.wallMilliseconds())
        started = source.monotonic()
    }

    static func resumed(_ savedRelay: Int64?, _ savedWall: Int64?, _ wallNow: Int64) -> Int64 {
        guard let savedRelay, let savedWall else { return wallNow }
        let passed = RelayTime(milliseconds: wallNow) - RelayTime(milliseconds: savedWall)
        return (RelayTime(milliseconds: savedRelay) + min(max(passed, 0), maxRestartAdvanceMilliseconds)).milliseconds
    }

    /// Now, on the relay's clock.
    package func now() -> RelayTime {
        let (seconds, attoseconds) = (source.monotonic() - started).components
        return RelayTime(milliseconds: startedAt + seconds * 1000 + attoseconds / 1_000_000_000_000_000)
    }

    /// The wall clock that is kept beside it: milliseconds since 1970.
    func wallNow() -> Int64 { source.wallMilliseconds() }

    /// The wall clock, for people to read: milliseconds since 1970.
    package static func wallMilliseconds() -> Int64 {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        return Int64(time.tv_sec) * 1000 + Int64(time.tv_nsec) / 1_000_000
    }
}
