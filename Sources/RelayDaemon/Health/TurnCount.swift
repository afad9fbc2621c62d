import NIOCore
import Synchronization

/// How often a part of the daemon has answered, and whether it owes an answer.
final class TurnCount: Sendable {
    private let turns = Atomic<UInt64>(0)
    private let isAsked = Atomic<Bool>(false)

    /// Answers so far.
    var count: UInt64 { turns.load(ordering: .relaxed) }

    /// Asks an event loop, unless it owes an answer.
    func ask(_ loop: any EventLoop) {
        guard mayAsk else { return }
        loop.execute { self.turned() }
    }

    /// Asks the pool of Swift's tasks, unless it owes an answer.
    func askTasks() {
        guard mayAsk else { return }
        Task.detached { self.turned() }
    }

    private var mayAsk: Bool { !isAsked.exchange(true, ordering: .relaxed) }

    private func turned() {
        turns.add(1, ordering: .relaxed)
        isAsked.store(false, ordering: .relaxed)
    }
}
