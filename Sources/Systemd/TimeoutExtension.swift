@preconcurrency private import Dispatch

/// Keeps the service manager patient while a start or a stop goes on, up to a bound, and says what is going on.
///
/// It works on a thread of its own: what takes long may block all others.
package final class TimeoutExtension: Sendable {
    /// How often more time is asked for.
    private static let interval: Duration = .seconds(5)
    /// How much time is asked for, each time.
    private static let extensionPeriod: Duration = .seconds(20)

    private let queue = DispatchQueue(label: "timeout-extension")
    private let timer: any DispatchSourceTimer

    /// Begins to ask, at once and then every few seconds.
    ///
    /// - Parameters:
    ///   - notifier: Who is told.
    ///   - limit: When no more time is asked for: the service manager's own timeout then ends what hangs.
    ///   - status: What is going on, in words; called on the extension's own thread.
    package init(_ notifier: Notifier, limit: Duration, status: @escaping @Sendable () -> String) {
        let end = ContinuousClock.now + limit
        timer = DispatchSource.makeTimerSource(queue: queue)
        timer.setEventHandler { [timer] in
            guard ContinuousClock.now < end else { return timer.cancel() }
            notifier.notify([
                .extendTimeout(microseconds: UInt64(Self.extensionPeriod.components.seconds) * 1_000_000),
                .status(status()),
            ])
        }
        timer.schedule(deadline: .now(), repeating: .seconds(Int(Self.interval.components.seconds)))
        timer.activate()
    }

    /// Asks no more; nothing is sent after this returns.
    package func end() {
        queue.sync { timer.cancel() }
    }

}
