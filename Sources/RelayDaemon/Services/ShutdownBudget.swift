import Synchronization
import Systemd

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

    /// Added to the timeout: what closing the files may take after it.
    private static let closingMargin: Duration = .seconds(60)
    private let patience = Mutex<TimeoutExtension?>(nil)

    /// The end has begun: systemd is told to be patient as long as it may take, and what there is to wait for.
    func begin(_ notifier: Notifier, status: @escaping @Sendable () -> String) {
        let deadline = deadline
        let patience = TimeoutExtension(notifier, limit: timeout + Self.closingMargin) {
            let left = max(0, ContinuousClock.now.duration(to: deadline).components.seconds)
            return "stopping: \(status()); \(left) s left"
        }
        self.patience.withLock { $0 = patience }
    }

    /// Everything is over.
    func end() { patience.withLock { $0.take() }?.end() }
}
