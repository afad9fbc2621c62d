import DexatelAPI
import Dispatch
import Synchronization

/// Where work gathers while a transaction is being fsynced: the whole of group commit (design §3.1), no timers.
final class CommitInbox: Sendable {
    /// Changes of a kind in one transaction at most, so that no answer waits for a very long one.
    static let maxBatch = 1024

    /// What the commit thread does next.
    struct Work: Sendable {
        var writes: [NewWrite] = []
        var outcomes: [(outcome: AttemptOutcome, waiter: Waiter?)] = []
        var operations: [any CommitOperation] = []

        var isEmpty: Bool {
            writes.isEmpty && outcomes.isEmpty && operations.isEmpty
        }
    }

    private struct State {
        var work = Work()
        var isSleeping = false
        var isStopping = false
    }

    private let state = Mutex(State())
    private let semaphore = MonotonicSemaphore()

    /// Adds writes; false when the thread takes none any more.
    func add(_ writes: [NewWrite]) -> Bool {
        change { state in
            guard !state.isStopping else { return false }
            state.work.writes.append(contentsOf: writes)
            return true
        }
    }

    /// Whether writes are taken no more.
    var isStopping: Bool { state.withLock { $0.isStopping } }

    /// Adds outcomes of attempts, with the senders that wait for them.
    func add(_ outcomes: [(outcome: AttemptOutcome, waiter: Waiter?)]) {
        guard !outcomes.isEmpty else { return }
        change { $0.work.outcomes += outcomes }
    }

    /// Has the thread look for something to do.
    func wake() { change { _ in } }

    /// Adds something to be done by itself; false when the thread takes nothing any more.
    func add(_ operation: any CommitOperation) -> Bool {
        change { state in
            guard !state.isStopping else { return false }
            state.work.operations.append(operation)
            return true
        }
    }

    /// Takes no more writes; `next` returns nil once everything that was added has been taken.
    func stop() {
        change { $0.isStopping = true }
    }

    private func change<Result: Sendable>(_ body: (inout State) -> Result) -> Result {
        let (result, wakes) = state.withLock { state in
            let result = body(&state)
            let wakes = state.isSleeping
            state.isSleeping = false
            return (result, wakes)
        }
        if wakes { semaphore.signal() }
        return result
    }

    /// Waits for work, but no longer than until the deadline; nil when stopped and empty.
    func next(until deadline: DispatchTime) -> Work? {
        if let work = take(mayMarkSleeping: true) { return work.isEmpty ? nil : work }
        // A wake-up that comes just after the time-out is taken by the next wait, which then finds what there is.
        semaphore.wait(until: deadline)
        if let work = take(mayMarkSleeping: false) { return work.isEmpty ? nil : work }
        return Work()
    }

    /// The work that is there, without waiting for any.
    func takeAll() -> Work { take(mayMarkSleeping: false) ?? Work() }

    /// The work that is there; nil when there is none, and empty when there will be none any more.
    private func take(mayMarkSleeping: Bool) -> Work? {
        state.withLock { state in
            if state.work.isEmpty {
                if state.isStopping { return Work() }
                state.isSleeping = mayMarkSleeping
                return nil
            }
            state.isSleeping = false
            guard state.work.writes.count > Self.maxBatch else {
                let work = state.work
                state.work = Work()
                return work
            }
            return Self.part(of: &state.work)
        }
    }

    /// A part of the work that may go before the rest: an operation comes after all that was there before it.
    private static func part(of all: inout Work) -> Work {
        var work = Work()
        work.writes = Array(all.writes.prefix(maxBatch))
        all.writes.removeFirst(work.writes.count)
        work.outcomes = all.outcomes
        all.outcomes = []
        return work
    }
}
