import DexatelAPI
import Dispatch
import HTTPWire
import NIOHTTP1
import Synchronization

/// What has changed in memory and is not on disk yet, in the order in which it changed.
///
/// The memory tier notes its changes here while it holds its own lock, so that what happens to one key is noted in the
/// order in which it happened; noting takes a moment and calls nothing. The disk's own thread takes the changes in
/// batches. What waits is bounded: replies that come while there is no room are not written, and then their targets
/// are in doubt on disk, as what is there may be older; invalidations need no room; removals are merged, never lost.
package final class CacheJournal: Sendable {
    /// How many replies may wait to be written.
    static let maxQueuedReplies = 4096
    /// How many may wait to hear that their changes are written.
    static let maxFlushes = 2 * DiskCache.maxLookups

    struct StoredChange: Sendable {
        var key: CacheKey
        var response: StoredResponse
        /// The request that it answers: it takes the place of all that this would have chosen.
        var request: CacheRequest
        var isInvalidated: Bool
        /// Whether the file may hold, or be about to hold, another reply to the key.
        var mayReplace: Bool
        var sequence: UInt64
        var bytes: Int
    }

    /// What the disk's thread has to do next.
    struct Batch: Sendable {
        var stores: [StoredChange] = []
        var removals = PendingRemovals()
        var nextSequence: UInt64 = 1
        /// Whose replies follow, if that has changed.
        var origin: String?
        /// A reader has found the file damaged, or the disk failing.
        var failure: (any Error)?
        var flushes: [CheckedContinuation<Bool, Never>] = []
    }

    /// What the disk's thread waits for.
    enum Wait: Int, Sendable, Comparable {
        case nothing
        case stop
        case urgent
        case any

        static func < (one: Wait, other: Wait) -> Bool { one.rawValue < other.rawValue }
    }

    private struct State {
        var nextSequence: UInt64 = 1
        var stores: [StoredChange] = []
        var queuedBytes = 0
        /// Whose replies wait, and whose are being written.
        var queuedKeys: Set<CacheKey> = []
        var writtenKeys: Set<CacheKey> = []
        var waiting = PendingRemovals()
        /// Taken by the thread, and not on disk yet.
        var applying = PendingRemovals()
        /// Whose replies follow, as long as that is not on disk.
        var origin: String?
        var marks = InvalidationMarks()
        /// The keys that are being looked up on disk, each with the latest delivery that was forgotten meanwhile.
        var lookups: [CacheKey: Int64] = [:]
        var failure: (any Error)?
        var flushes: [CheckedContinuation<Bool, Never>] = []
        var droppedReplies: UInt64 = 0
        /// What the file may hold, with what waits to be written; nil as long as that is not known.
        var index: DiskIndex?
        /// The next one, which is being made.
        var nextIndex: DiskIndex?
        /// Replies are taken.
        var isOpen = false
        var isStopping = false
        var wait = Wait.nothing
        var mustWake = false

        mutating func next() -> UInt64 {
            defer { nextSequence += 1 }
            return nextSequence
        }

        mutating func wake(_ kind: Wait) {
            guard kind <= wait else { return }
            wait = .nothing
            mustWake = true
        }
    }

    /// How many bytes of replies may wait to be written.
    let maxQueuedBytes: Int
    private let state = Mutex(State())
    private let semaphore = MonotonicSemaphore()

    init(maxQueuedBytes: Int) { self.maxQueuedBytes = maxQueuedBytes }

    // MARK: - Noting, under the memory tier's lock

    func noteStored(_ response: StoredResponse, for key: CacheKey, _ request: CacheRequest, isInvalidated: Bool) {
        let fields = request.fields.memoryBytes
        let hash = DiskKeyHash(key)
        let bytes = response.costBytes + key.target.utf8.count + fields
        state.withLock { state in
            let sequence = state.next()
            guard state.isOpen, !state.isStopping, state.stores.count < Self.maxQueuedReplies,
                state.queuedBytes + bytes <= maxQueuedBytes
            else {
                state.droppedReplies += 1
                state.marks.doubt(PathHashes(InvalidationPath.normal(key.target)), at: sequence)
                return
            }
            state.queuedBytes += bytes
            state.queuedKeys.insert(key)
            let mayReplace = state.index?.mayContain(hash) ?? true
            state.index?.insert(hash)
            state.nextIndex?.insert(hash)
            state.stores.append(
                StoredChange(
                    key: key,
                    response: response,
                    request: request,
                    isInvalidated: isInvalidated,
                    mayReplace: mayReplace,
                    sequence: sequence,
                    bytes: bytes
                )
            )
            state.wake(.any)
        }
    }

    /// - Parameter path: In normal spelling.
    func noteInvalidated(path: String) {
        let hashes = PathHashes(path)
        state.withLock { $0.marks.invalidate(hashes, at: $0.next()) }
    }

    func noteForgotten(_ partition: CachePartition) { note { $0.forget(partition, at: $1) } }

    func noteForgotten(_ key: CacheKey) { note { $0.forget(key, at: $1) } }

    /// Notes that replies to a key are no longer good if they lack what was delivered up to a monotonic moment.
    ///
    /// There is no hurry: what is noted is not read any more.
    func noteOutdated(_ key: CacheKey, deliveredUpTo milliseconds: Int64) {
        state.withLock { state in
            state.waiting.forget(key, deliveredUpTo: milliseconds, at: state.next())
            if let known = state.lookups[key] { state.lookups[key] = max(known, milliseconds) }
            state.wake(state.waiting.isUrgent ? .urgent : .any)
        }
    }

    /// - Parameter path: In normal spelling.
    func notePurged(path: String) { note { $0.purge(path, at: $1) } }

    /// Notes that everything is of no use any more, as another upstream answers from now on.
    func noteOrigin(_ origin: String) {
        state.withLock { state in
            state.waiting.removeEverything(at: state.next())
            state.origin = origin
            state.wake(.urgent)
        }
    }

    private func note(_ change: (inout PendingRemovals, UInt64) -> Void) {
        state.withLock { state in
            change(&state.waiting, state.next())
            state.wake(.urgent)
        }
    }

    /// Wakes the thread if what was noted concerns it; to be called without any lock.
    func wakeThread() {
        let wakes = state.withLock { state in
            defer { state.mustWake = false }
            return state.mustWake
        }
        if wakes { semaphore.signal() }
    }

    // MARK: - Asking

    /// What must not be read from disk any more, though it may still be there.
    var pendingRemovals: PendingRemovals {
        state.withLock { state in
            guard !state.applying.isEmpty else { return state.waiting }
            var pending = state.applying
            pending.add(state.waiting)
            return pending
        }
    }

    /// Begins a look-up of a key, so that nothing is missed that happens to it meanwhile.
    func beginLookup(_ key: CacheKey) { state.withLock { $0.lookups[key] = .min } }

    func endLookup(_ key: CacheKey) { state.withLock { $0.lookups[key] = nil } }

    /// Whether a reply that is being looked up lacks a delivery that was forgotten meanwhile.
    func isOutdated(_ key: CacheKey, heldUpTo milliseconds: Int64) -> Bool {
        state.withLock { state in state.lookups[key].map { milliseconds <= $0 } ?? false }
    }

    /// Whether something has happened to a path since a reply was stored.
    func isInDoubt(_ path: PathHashes, storedAt sequence: UInt64) -> Bool {
        state.withLock { $0.marks.isInDoubt(path, storedAt: sequence) }
    }

    /// Whether a reply to a key is not on disk yet, so that what is there is older.
    func isQueued(_ key: CacheKey) -> Bool {
        state.withLock { $0.queuedKeys.contains(key) || $0.writtenKeys.contains(key) }
    }

    /// Whether the file may hold a reply to a key, or is going to: with certainty if not.
    func mayHold(_ key: CacheKey) -> Bool {
        let hash = DiskKeyHash(key)
        return state.withLock { $0.index?.mayContain(hash) ?? true }
    }

    var queuedBytes: Int { state.withLock { $0.queuedBytes } }

    var droppedReplies: UInt64 { state.withLock { $0.droppedReplies } }

    /// Says that a reader has found the file damaged, or the disk failing.
    func report(_ failure: any Error) {
        state.withLock { state in
            state.failure = failure
            state.wake(.urgent)
        }
        wakeThread()
    }

    /// Returns once all that was noted before is on disk; false if it is not going to be.
    func flush() async -> Bool {
        await withCheckedContinuation { continuation in
            let isTaken = state.withLock { state in
                guard state.isOpen, !state.isStopping, state.flushes.count < Self.maxFlushes else { return false }
                state.flushes.append(continuation)
                state.wake(.urgent)
                return true
            }
            if isTaken { wakeThread() } else { continuation.resume(returning: false) }
        }
    }

    // MARK: - On the disk's thread

    /// Waits until there is something of this kind to do, or the deadline has passed.
    func wait(for wait: Wait, until deadline: DispatchTime) {
        let mustWait = state.withLock { state in
            if state.isStopping { return false }
            if wait >= .urgent, state.waiting.isUrgent || !state.flushes.isEmpty || state.failure != nil {
                return false
            }
            if wait == .any, !state.stores.isEmpty || !state.waiting.isEmpty { return false }
            state.wait = wait
            return true
        }
        guard mustWait else { return }
        // A signal that comes just after the time-out ends the next wait early, which then finds what there is.
        semaphore.wait(until: deadline)
        state.withLock { $0.wait = .nothing }
    }

    /// Whether nothing more is taken.
    var isStopping: Bool { state.withLock { $0.isStopping } }

    /// All that there is to do; ``finish(_:isWritten:)`` is to follow.
    func take() -> Batch {
        state.withLock { state in
            var batch = Batch(
                stores: state.stores,
                removals: state.waiting,
                nextSequence: state.nextSequence,
                origin: state.origin,
                failure: state.failure
            )
            batch.flushes = state.flushes
            state.applying = state.waiting
            state.waiting = PendingRemovals()
            state.stores = []
            state.queuedBytes = 0
            state.writtenKeys = state.queuedKeys
            state.queuedKeys = []
            state.failure = nil
            state.flushes = []
            return batch
        }
    }

    /// The batch is on disk; or it is not: then its removals wait again, and what is on disk for its replies is in doubt.
    func finish(_ batch: Batch, isWritten: Bool) {
        state.withLock { state in
            if !isWritten {
                state.waiting.add(state.applying)
                for store in batch.stores {
                    state.droppedReplies += 1
                    let path = PathHashes(InvalidationPath.normal(store.key.target))
                    state.marks.doubt(path, at: store.sequence)
                }
            }
            if isWritten, state.origin == batch.origin { state.origin = nil }
            state.applying = PendingRemovals()
            state.writtenKeys = []
        }
        for flush in batch.flushes { flush.resume(returning: isWritten) }
    }

    /// Starts taking replies for a file.
    ///
    /// - Parameters:
    ///   - nextSequence: The file's own count of changes.
    ///   - marks: Its invalidations; nil if they are not known, so that all it holds is in doubt.
    ///   - removals: What it was told to remove and has not yet.
    func open(nextSequence: UInt64, marks: InvalidationMarks?, removals: PendingRemovals) {
        state.withLock { state in
            let isNew = state.nextSequence == 1
            state.nextSequence = max(state.nextSequence, nextSequence)
            if let marks, isNew {
                state.marks = marks
            } else {
                // What was noted before counted from another beginning: it came after all that the file holds.
                state.marks.doubtEverything(before: state.nextSequence)
                if !state.waiting.isEmpty { state.waiting = state.waiting.moved(to: state.next()) }
            }
            state.waiting.add(removals)
            state.isOpen = true
        }
    }

    // MARK: The index, made on the disk's thread

    /// Begins an index; what is stored from now on is in it, and what the file holds is to be added.
    ///
    /// - Parameter isOtherFile: Whether the present one says nothing of the file.
    func beginIndex(_ index: DiskIndex, isOtherFile: Bool) {
        state.withLock { state in
            var index = index
            for key in state.queuedKeys { index.insert(DiskKeyHash(key)) }
            for key in state.writtenKeys { index.insert(DiskKeyHash(key)) }
            state.nextIndex = index
            if isOtherFile { state.index = nil }
        }
    }

    func addToIndex(_ keys: [DiskKeyHash]) {
        state.withLock { state in
            for key in keys { state.nextIndex?.insert(key) }
        }
    }

    /// The index has all that the file holds.
    func endIndex() {
        state.withLock { state in
            state.index = state.nextIndex.take()
        }
    }

    var isIndexFull: Bool { state.withLock { $0.index?.isFull ?? false } }

    /// Starts again with the file that was open before, after a failure.
    func reopen() { state.withLock { $0.isOpen = true } }

    /// Takes no replies for now.
    func close() {
        let flushes = state.withLock { state in
            state.isOpen = false
            defer { state.flushes = [] }
            return state.flushes
        }
        for flush in flushes { flush.resume(returning: false) }
    }

    /// Takes no more; what was noted is still to be taken.
    func stop() {
        state.withLock { state in
            state.isStopping = true
            state.wake(.stop)
        }
        wakeThread()
    }

    /// The invalidations and the count of changes, to be kept with the file.
    var closing: (marks: InvalidationMarks, nextSequence: UInt64) {
        state.withLock { ($0.marks, $0.nextSequence) }
    }
}
