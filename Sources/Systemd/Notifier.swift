private import CSystemd

/// Tells the service manager how the daemon fares, over the socket that `$NOTIFY_SOCKET` names.
///
/// Every method returns whether a message went out. Without a service manager (`$NOTIFY_SOCKET` unset) nothing happens
/// and the answer is `false`; a message that cannot be sent is dropped in the same way, because a daemon that works
/// must not fail over a report about itself. See sd_notify(3).
package struct Notifier: Sendable {
    private let queue: NotifyQueue?

    /// Creates a notifier; the environment is read anew with each message.
    ///
    /// - Parameter waits: Whether a message is sent before its method returns; otherwise it is sent behind the caller's
    ///   back, in its order, so that a service manager that does not listen holds nobody up. A status or a sign of life
    ///   that finds too many others waiting is dropped.
    package init(waits: Bool = true) {
        queue = waits ? nil : NotifyQueue()
    }

    /// Reports that start-up or a reload is finished.
    @discardableResult
    package func ready() -> Bool {
        notify([.ready])
    }

    /// Sets the line that `systemctl status` shows, without changing the state.
    ///
    /// Line breaks and other control characters become single spaces: a message is made of lines.
    @discardableResult
    package func status(_ text: String) -> Bool {
        notify([.status(text)])
    }

    /// Reports that the daemon is alive; due within every ``watchdogInterval``, better at half of it.
    @discardableResult
    package func watchdog() -> Bool {
        notify([.watchdog])
    }

    /// Asks the service manager to act as if the watchdog had run out.
    @discardableResult
    package func watchdogTrigger() -> Bool {
        notify([.watchdogTrigger])
    }

    /// Reports that shutting down has begun.
    @discardableResult
    package func stopping() -> Bool {
        notify([.stopping])
    }

    /// Reports that a reload has begun; ``ready()`` ends it.
    ///
    /// - Parameter monotonicMicroseconds: `CLOCK_MONOTONIC` at the start of the reload, in microseconds.
    @discardableResult
    package func reloading(monotonicMicroseconds: UInt64) -> Bool {
        notify([.reloading(monotonicMicroseconds: monotonicMicroseconds)])
    }

    /// Asks for that much more time, counted from now, for the start, stop or watchdog period that is running.
    @discardableResult
    package func extendTimeout(microseconds: UInt64) -> Bool {
        notify([.extendTimeout(microseconds: microseconds)])
    }

    /// Reports why the daemon is about to exit.
    ///
    /// - Parameters:
    ///   - errno: The system's error number behind the failure, 0 if there is none.
    ///   - exitStatus: The status that the process will exit with.
    ///   - status: The reason in words.
    @discardableResult
    package func failed(errno: Int32, exitStatus: Int32, status: String) -> Bool {
        notify([.status(status), .errorNumber(errno), .exitStatus(exitStatus)])
    }

    /// Sends several lines as one message, so that the service manager sees them change together.
    @discardableResult
    package func notify(_ states: [State]) -> Bool {
        guard !states.isEmpty else { return false }
        let message = states.map(\.line).joined(separator: "\n")
        guard let queue else { return sd_notify(0, message) > 0 }
        return queue.send(message, isRepeated: states.allSatisfy(\.isRepeated))
    }

    /// The longest pause between two ``watchdog()`` calls that the service manager tolerates, or `nil` if it does not
    /// watch this process.
    package var watchdogInterval: Duration? {
        var microseconds: UInt64 = 0
        guard sd_watchdog_enabled(0, &microseconds) > 0 else { return nil }
        return .microseconds(Int64(clamping: microseconds))
    }
}
