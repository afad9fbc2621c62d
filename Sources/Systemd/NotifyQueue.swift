private import CSystemd
private import Dispatch
private import Synchronization

/// Sends messages to the service manager on a thread of their own, in their order.
///
/// sd_notify(3) waits while the manager's socket is full: a manager that is busy, or stuck, must hold up nothing of the
/// daemon (P6). What only repeats itself is dropped then.
final class NotifyQueue: Sendable {
    /// Messages that may wait before those that will be repeated are dropped (P8).
    static let maxWaiting = 16

    private let queue = DispatchQueue(label: "contact-relay.notify")
    private let waiting = Atomic<Int>(0)

    /// Sends a message as soon as those before it are gone.
    ///
    /// - Parameter isRepeated: Another one that says as much will come.
    /// - Returns: Whether it will be sent.
    func send(_ message: String, isRepeated: Bool) -> Bool {
        guard !isRepeated || waiting.load(ordering: .relaxed) < Self.maxWaiting else { return false }
        waiting.add(1, ordering: .relaxed)
        queue.async { [self] in
            _ = sd_notify(0, message)
            waiting.subtract(1, ordering: .relaxed)
        }
        return true
    }
}
