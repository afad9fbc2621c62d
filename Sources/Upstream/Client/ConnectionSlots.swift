import Synchronization

/// Hands out as many places as there may be connections, in the order of asking.
///
/// The pool of async-http-client has a queue of its own, without a bound, in which waiting for a busy
/// connection and waiting for one that cannot be made end in the same error. With a place in hand a request
/// never waits in that queue for the former, so its errors mean the latter, and the wait here has a bound (P8).
final class ConnectionSlots: Sendable {
    /// One place; it is given back at the latest when the last reference goes.
    final class Slot: Sendable {
        private let slots: ConnectionSlots
        private let isReleased = Atomic<Bool>(false)
        private let kept = Mutex<ConnectionGeneration?>(nil)

        init(_ slots: ConnectionSlots) {
            self.slots = slots
        }

        deinit {
            self.release()
        }

        /// Keeps the connections open until the place is given back.
        func keep(_ generation: ConnectionGeneration) { self.kept.withLock { $0 = generation } }

        func release() {
            // Not under the lock: the last reference may go.
            let generation = self.kept.withLock { $0.take() }
            defer { withExtendedLifetime(generation) {} }
            if !self.isReleased.exchange(true, ordering: .acquiringAndReleasing) {
                self.slots.giveBack()
            }
        }
    }

    private typealias Waiting = CheckedContinuation<Result<Slot, UpstreamFailure>, Never>

    private struct Shared {
        var free: Int
        var nextWaiter: UInt64 = 0
        var waiters: [(id: UInt64, continuation: Waiting)] = []
    }

    private let shared: Mutex<Shared>
    private let maxWaiters: Int

    init(count: Int, maxWaiters: Int) {
        self.shared = Mutex(Shared(free: max(1, count)))
        self.maxWaiters = maxWaiters
    }

    /// Waits for a place until the deadline.
    func acquire(until deadline: ContinuousClock.Instant) async throws(UpstreamFailure) -> Slot {
        let isFree = self.shared.withLock { shared in
            guard shared.free > 0 else { return false }
            shared.free -= 1
            return true
        }
        if isFree { return Slot(self) }
        let id = self.shared.withLock { shared in
            shared.nextWaiter += 1
            return shared.nextWaiter
        }
        let alarm = Task {
            try await Task.sleep(until: deadline, clock: .continuous)
            self.dismiss(id, Self.tooLate)
        }
        defer { alarm.cancel() }
        return try await withTaskCancellationHandler {
            await withCheckedContinuation { self.enqueue(id, $0, until: deadline) }
        } onCancel: {
            self.dismiss(id, Self.cancelled)
        }.get()
    }

    private static let cancelled =
        UpstreamFailure(.cancelled, "the request was cancelled before it was sent", mayHaveTakenEffect: false)

    private static let tooLate =
        UpstreamFailure(.saturated, "no connection to the upstream became free", mayHaveTakenEffect: false)
    private static let tooMany =
        UpstreamFailure(.saturated, "too many requests wait for the upstream", mayHaveTakenEffect: false)

    private func enqueue(_ id: UInt64, _ continuation: Waiting, until deadline: ContinuousClock.Instant) {
        enum Outcome { case waits, free, full }
        let outcome: Outcome = self.shared.withLock { shared in
            if shared.free > 0 {
                shared.free -= 1
                return .free
            }
            guard shared.waiters.count < self.maxWaiters else { return .full }
            shared.waiters.append((id, continuation))
            return .waits
        }
        switch outcome {
        case .free: continuation.resume(returning: .success(Slot(self)))
        case .full: continuation.resume(returning: .failure(Self.tooMany))
        case .waits:
            // A cancellation or alarm that came before the entry found nobody to dismiss.
            if Task.isCancelled {
                self.dismiss(id, Self.cancelled)
            } else if ContinuousClock.now >= deadline {
                self.dismiss(id, Self.tooLate)
            }
        }
    }

    private func dismiss(_ id: UInt64, _ failure: UpstreamFailure) {
        let continuation = self.shared.withLock { shared -> Waiting? in
            guard let index = shared.waiters.firstIndex(where: { $0.id == id }) else { return nil }
            return shared.waiters.remove(at: index).continuation
        }
        continuation?.resume(returning: .failure(failure))
    }

    private func giveBack() {
        let next = self.shared.withLock { shared -> Waiting? in
            guard !shared.waiters.isEmpty else {
                shared.free += 1
                return nil
            }
            return shared.waiters.removeFirst().continuation
        }
        next?.resume(returning: .success(Slot(self)))
    }
}
