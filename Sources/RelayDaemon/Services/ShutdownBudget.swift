import Synchronization

/// The time that the whole of a shutdown may take (`shutdown.timeout`), shared by the services that end one after the
/// other.
final class ShutdownBudget: Sendable {
    private let state: Mutex<(timeout: Duration, started: ContinuousClock.Instant?)>

    init(timeout: Duration) {
        state = Mutex((timeout, nil))
    }

    /// `shutdown.timeout`.
    var timeout: Duration {
        get { state.withLock { $0.timeout } }
        set { state.withLock { $0.timeout = newValue } }
    }

    /// When everything has to be over; the clock starts with the first who asks.
    var deadline: ContinuousClock.Instant {
        state.withLock { state in
            let start = state.started ?? .now
            state.started = start
            return start + state.timeout
        }
    }
}
