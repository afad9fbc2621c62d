import Synchronization

/// The time that the whole of a shutdown may take (`shutdown.timeout`), shared by the services that end one after the
/// other.
final class ShutdownBudget: Sendable {
    private let timeout: Duration
    private let started = Mutex<ContinuousClock.Instant?>(nil)

    init(timeout: Duration) {
        self.timeout = timeout
    }

    /// When everything has to be over; the clock starts with the first who asks.
    var deadline: ContinuousClock.Instant {
        started.withLock { started in
            let start = started ?? .now
            started = start
            return start + timeout
        }
    }
}
