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
        var attempts: [AttemptRecord] = []
        var holds: [HoldRecord] = []
        var ends: [EndRecord] = []
        var operations: [any CommitOperation] = []

        var isEmpty: Bool {
            writes.isEmpty && attempts.isEmpty && holds.isEmpty && ends.isEmpty && operations.isEmpty
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

    /// Adds the outcomes of attempts, and writes that have left their lanes.
    func add(_ records: [LaneSchedule.Ended.Record], _ holds: [HoldRecord]) {
        change { state in
            for record in records {
                switch record {
                case .attempt(let attempt): state.work.attempts.append(attempt)
                case .end(let end): state.work.ends.append(end)
                }
            }
            state.work.holds += holds
        }
    }

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

    /// The work that is there; nil when there is none, and empty when there will be none any more.
    private func take(mayMarkSleeping: Bool) -> Work? {
        state.withLock { state in
            if state.work.isEmpty {
                if state.isStopping { return Work() }
                state.isSleeping = mayMarkSleeping
                return nil
            }
            state.isSleeping = false
            guard state.work.writes.count > Self.maxBatch || state.work.holds.count > Self.maxBatch else {
                let work = state.work
                state.work = Work()
                return work
            }
            return Self.part(of: &state.work)
        }
    }

    /// A part of the work that may go before the rest: a hold before an end that came after it, as the delivery is
    /// recorded for what is held then; an operation after all that was there before it.
    private static func part(of all: inout Work) -> Work {
        var work = Work()
        work.writes = Array(all.writes.prefix(maxBatch))
        all.writes.removeFirst(work.writes.count)
        work.attempts = all.attempts
        all.attempts = []
        work.holds = Array(all.holds.prefix(maxBatch))
        all.holds.removeFirst(work.holds.count)
        if all.holds.isEmpty {
            work.ends = all.ends
            all.ends = []
        }
        return work
    }
}
