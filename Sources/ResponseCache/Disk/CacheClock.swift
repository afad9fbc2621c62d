import Glibc

/// The two clocks of the cache, so that tests can set them.
package struct CacheClock: Sendable {
    /// Monotonic and counting suspended time, the one by which ages are told; milliseconds.
    package var monotonicMilliseconds: @Sendable () -> Int64
    /// The wall clock, milliseconds since 1970.
    package var wallMilliseconds: @Sendable () -> Int64

    /// Takes readings from these.
    package init(
        monotonicMilliseconds: @escaping @Sendable () -> Int64,
        wallMilliseconds: @escaping @Sendable () -> Int64
    ) {
        self.monotonicMilliseconds = monotonicMilliseconds
        self.wallMilliseconds = wallMilliseconds
    }

    /// The machine's clocks.
    package static let system = CacheClock(
        monotonicMilliseconds: { milliseconds(CLOCK_BOOTTIME) },
        wallMilliseconds: { milliseconds(CLOCK_REALTIME) }
    )

    private static func milliseconds(_ clock: clockid_t) -> Int64 {
        var time = timespec()
        clock_gettime(clock, &time)
        return Int64(time.tv_sec) * 1000 + Int64(time.tv_nsec) / 1_000_000
    }
}
