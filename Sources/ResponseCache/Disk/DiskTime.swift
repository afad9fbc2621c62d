/// The clock by which stored replies are dated on disk: the monotonic clock while running, and the wall clock's
/// difference over a restart.
///
/// A wall clock that is set while the relay runs changes nothing. One that was set back over a restart hides how long
/// the relay was down: ``wasSetBack`` says so, and what is on disk is then in doubt.
struct DiskTime: Sendable, Equatable {
    /// Both clocks at one moment, as a file keeps them.
    struct Saved: Sendable, Equatable {
        var diskMilliseconds: Int64
        var wallMilliseconds: Int64

        /// Whether the figures can be a clock's; a damaged file's need not be.
        var isPlausible: Bool {
            [diskMilliseconds, wallMilliseconds].allSatisfy { DiskTime.plausible.contains($0) }
        }
    }

    /// Far more than any clock shows, and far from what arithmetic could overflow.
    static let plausible: ClosedRange<Int64> = -(1 << 53)...(1 << 53)

    /// Whether the wall clock shows less than when the file was last written.
    let wasSetBack: Bool
    private let offset: Int64

    /// Goes on from a saved moment; nil starts a new clock at the wall clock's time.
    init(saved: Saved?, wallMilliseconds: Int64, monotonicMilliseconds: Int64) {
        let elapsed = saved.map { wallMilliseconds - $0.wallMilliseconds } ?? 0
        wasSetBack = elapsed < 0
        offset = (saved?.diskMilliseconds ?? wallMilliseconds) + max(0, elapsed) - monotonicMilliseconds
    }

    /// A monotonic moment on this clock.
    func disk(monotonicMilliseconds: Int64) -> Int64 { monotonicMilliseconds + offset }

    /// A moment of this clock, or of its predecessors, as the monotonic clock would have shown it.
    func monotonic(diskMilliseconds: Int64) -> Int64 { diskMilliseconds - offset }
}
