import DequeModule
import Synchronization

/// Confirmations behind the scenes: so many at a time, so that clients who wait find connections, the others in a queue.
final class RefreshQueue: Sendable {
    private struct State {
        var running = 0
        var waiting: Deque<@Sendable () -> Bool> = []
    }

    private let state = Mutex(State())

    /// Runs something now, or as soon as others have ended.
    ///
    /// - Parameters:
    ///   - body: Says whether it runs; then ``end(max:)`` is to be called when it has ended.
    ///   - max: How many may run at a time.
    ///   - maxWaiting: How many may wait (P8).
    /// - Returns: False if it is not going to run.
    func begin(max: Int, maxWaiting: Int, _ body: @escaping @Sendable () -> Bool) -> Bool {
        let mayRun: Bool? = state.withLock { state in
            if state.running < max {
                state.running += 1
                return true
            }
            guard state.waiting.count < maxWaiting else { return nil }
            state.waiting.append(body)
            return false
        }
        if mayRun == true, !body() { end(max: max) }
        return mayRun != nil
    }

    /// One has ended: the next takes its place.
    func end(max: Int) {
        while true {
            let next = state.withLock { state in
                state.running -= 1
                guard state.running < max, let next = state.waiting.popFirst() else {
                    return (@Sendable () -> Bool)?.none
                }
                state.running += 1
                return next
            }
            guard let next, !next() else { return }
        }
    }
}
