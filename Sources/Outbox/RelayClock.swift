import Foundation
import Synchronization

/// The relay's clock: the monotonic clock while running, and over a restart the wall clock's difference, not below 0
/// and at most an hour (design §3.3), so that a host whose clock is set wrong neither expires nor revives anything.
package final class RelayClock: Sendable {
    /// The most that a restart may advance the clock by.
    static let maxRestartAdvanceMilliseconds: Int64 = 3_600_000

    private let origin: Mutex<(relay: Int64, started: ContinuousClock.Instant)>

    /// Starts a clock that goes on where the saved one stood; nil starts a new one at the wall clock's time.
    package init(savedRelay: Int64?, savedWall: Int64?, wallNow: Int64 = RelayClock.wallMilliseconds()) {
        origin = Mutex((Self.resumed(savedRelay, savedWall, wallNow), .now))
    }

    static func resumed(_ savedRelay: Int64?, _ savedWall: Int64?, _ wallNow: Int64) -> Int64 {
        guard let savedRelay, let savedWall else { return wallNow }
        return savedRelay + min(max(wallNow - savedWall, 0), maxRestartAdvanceMilliseconds)
    }

    /// Now, on the relay's clock.
    package func now() -> RelayTime {
        let (relay, started) = origin.withLock { $0 }
        let (seconds, attoseconds) = (ContinuousClock.now - started).components
        return RelayTime(milliseconds: relay + seconds * 1000 + attoseconds / 1_000_000_000_000_000)
    }

    /// Goes on from a clock that a database kept, if that is later than this one.
    func resume(savedRelay: Int64, savedWall: Int64, wallNow: Int64 = RelayClock.wallMilliseconds()) {
        let resumed = Self.resumed(savedRelay, savedWall, wallNow)
        origin.withLock { $0 = (resumed, .now) }
    }

    /// The wall clock, for people to read: milliseconds since 1970.
    package static func wallMilliseconds() -> Int64 {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        return Int64(time.tv_sec) * 1000 + Int64(time.tv_nsec) / 1_000_000
    }
}
