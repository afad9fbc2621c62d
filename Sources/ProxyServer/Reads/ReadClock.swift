import Outbox

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

    /// Both at once.
    struct Moment: Sendable {
        var milliseconds: Int64
        var unixSeconds: Int64
    }

    var now: Moment { Moment(milliseconds: milliseconds(), unixSeconds: unixSeconds()) }

    private static func bootMilliseconds() -> Int64 {
        var time = timespec()
        clock_gettime(CLOCK_BOOTTIME, &time)
        return Int64(time.tv_sec) * 1000 + Int64(time.tv_nsec) / 1_000_000
    }
}
