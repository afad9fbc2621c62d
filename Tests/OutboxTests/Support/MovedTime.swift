import Synchronization

@testable import Outbox

/// Clocks that stand still unless the test moves them.
final class MovedTime: Sendable {
    private let state: Mutex<(wall: Int64, monotonic: ContinuousClock.Instant)>

    init() { state = Mutex((RelayClock.wallMilliseconds(), .now)) }

    /// Time passes.
    func advance(milliseconds: Int64) {
        state.withLock {
            $0.wall += milliseconds
            $0.monotonic += .milliseconds(milliseconds)
        }
    }

    /// Somebody sets the wall clock.
    func setWall(by milliseconds: Int64) { state.withLock { $0.wall += milliseconds } }

    var wall: Int64 { state.withLock { $0.wall } }

    var source: RelayClock.Source {
        RelayClock.Source(
            wallMilliseconds: { [self] in state.withLock { $0.wall } },
            monotonic: { [self] in state.withLock { $0.monotonic } }
        )
    }
}
