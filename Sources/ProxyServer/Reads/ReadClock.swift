import Outbox
import ResponseCache

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#endif

/// The clocks that reads need; tests set their own.
package struct ReadClock: Sendable {
    /// Monotonic, and it goes on while the host is suspended: ages of stored replies are spans of it.
    package var milliseconds: @Sendable () -> Int64 = { ReadClock.bootMilliseconds() }
    /// Seconds since 1970, to be compared with a reply's `Date`.
    package var unixSeconds: @Sendable () -> Int64 = { RelayClock.wallMilliseconds() / 1000 }

    /// The host's clocks.
    package init() {}

    /// The times of an exchange with the upstream whose reply's head has just come.
    func times(askedAtMilliseconds: Int64) -> ExchangeTimes {
        ExchangeTimes(
            requestMilliseconds: askedAtMilliseconds,
            responseMilliseconds: milliseconds(),
            responseUnixSeconds: unixSeconds()
        )
    }

    private static func bootMilliseconds() -> Int64 {
        var time = timespec()
        clock_gettime(CLOCK_BOOTTIME, &time)
        return Int64(time.tv_sec) * 1000 + Int64(time.tv_nsec) / 1_000_000
    }
}
