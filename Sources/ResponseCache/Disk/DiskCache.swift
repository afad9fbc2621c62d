package import Logging
import Synchronization

/// The disk tier: what memory has stored, written behind to `cache.sqlite` and found again there, also after a restart
/// (design §5.3).
///
/// It is made before the memory tier, which notes its changes in ``journal``, and started with it:
///
///     let disk = DiskCache(path: …, maxBytes: …, logger: …)
///     let memory = MemoryCache(configuration, journal: disk.journal)
///     disk.start(memory)
///
/// Hits know nothing of it. On a miss, ``load(_:)`` looks on disk and puts what it finds into memory, where it is then
/// looked up again. No error of the disk reaches a client: the tier is off for a while, and counts it.
package final class DiskCache: Sendable {
    /// How many look-ups may be under way; further ones find nothing.
    package static let maxLookups = 256

    /// Where the memory tier notes its changes.
    package let journal: CacheJournal
    private let settings: DiskCacheThread.Settings
    private let logger: Logger
    private let state = Mutex(State())

    private struct State {
        var thread: DiskCacheThread?
        var memory: MemoryCache?
        var lookups = 0
        var admits: @Sendable (CacheKey, StoredResponse) -> Bool = { _, _ in true }
    }

    /// Notes what is wanted; nothing is opened yet.
    ///
    /// - Parameters:
    ///   - path: The database, in a directory that is its owner's alone; it is made with mode 0600.
    ///   - maxBytes: What its files may take together (`reads.disk`); less than 1 MiB counts as 1 MiB.
    ///   - lingerMilliseconds: For how long changes gather before they are written.
    ///   - retryMilliseconds: How long the tier stays off after a failure.
    package init(
        path: String,
        maxBytes: Int,
        clock: CacheClock = .system,
        lingerMilliseconds: Int = 250,
        retryMilliseconds: Int = 30_000,
        logger: Logger
    ) {
        let limits = DiskLimits(maxBytes: maxBytes)
        settings = DiskCacheThread.Settings(
            file: DiskCacheFile(path: path),
            limits: limits,
            clock: clock,
            lingerMilliseconds: lingerMilliseconds,
            retryMilliseconds: retryMilliseconds
        )
        journal = CacheJournal(maxQueuedBytes: limits.maxQueuedBytes)
        self.logger = logger
    }

    /// Opens the file, in a time that does not depend on its size, and starts the thread that writes it; to be called
    /// once, before the first request.
    package func start(_ memory: MemoryCache) {
        let thread = DiskCacheThread(settings: settings, journal: journal, memory: memory, logger: logger)
        thread.start()
        state.withLock {
            $0.memory = memory
            $0.thread = thread
        }
    }

    /// What had been delivered when the file was closed; nil where that is not known.
    package var delivered: DeliveredRecord? { state.withLock { $0.thread }?.delivered }

    /// Has replies that are found on disk looked at before they are used.
    ///
    /// - Parameter admits: Whether a reply to a key may be used still.
    package func setAdmission(_ admits: @escaping @Sendable (CacheKey, StoredResponse) -> Bool) {
        state.withLock { $0.admits = admits }
    }

    /// Puts into memory what is on disk for a key, all of its variants.
    ///
    /// - Returns: Whether there is reason to look the key up again.
    package func load(_ key: CacheKey) async -> Bool {
        let (thread, memory, admits) = state.withLock { state in
            guard state.thread != nil, state.lookups < Self.maxLookups else {
                return (DiskCacheThread?.none, MemoryCache?.none, state.admits)
            }
            state.lookups += 1
            return (state.thread, state.memory, state.admits)
        }
        guard let thread, let memory else { return false }
        defer { state.withLock { $0.lookups -= 1 } }
        guard let connection = thread.connection else { return false }
        // From here on, what happens to the key counts against what is read, in one place or the other.
        let token = memory.fetchToken(key)
        journal.beginLookup(key)
        defer { journal.endLookup(key) }
        let removals = journal.pendingRemovals
        let found: [DiskReader.Found]
        // Memory had to give it up before it was written.
        if journal.isQueued(key), await !journal.flush() { return false }
        do {
            found = try await connection.reader.replies(to: key) ?? []
        } catch {
            if DiskReader.isFailure(error) { journal.report(error) }
            return false
        }
        // Something newer has come meanwhile.
        if journal.isQueued(key) { return true }
        var isFound = false
        let path = PathHashes(InvalidationPath.normal(key.target))
        for (reply, isIntact) in found {
            guard isIntact, let response = reply.response(connection.time) else {
                journal.noteForgotten(key)
                journal.wakeThread()
                return false
            }
            guard !removals.covers(key, storedAt: reply.sequence, heldUpTo: response.heldUpToMilliseconds),
                admits(key, response) else { continue }
            let isInvalidated =
                reply.flags.contains(.isInvalidated) || journal.isInDoubt(path, storedAt: reply.sequence)
            if memory.restore(response, for: key, isInvalidated: isInvalidated, since: token) { isFound = true }
        }
        thread.count {
            $0.lookups += 1
            if isFound { $0.found += 1 }
        }
        return isFound
    }

    /// Returns once all changes so far are on disk, those for a refused key for good; false if they are not going to be.
    package func flush() async -> Bool { await journal.flush() }

    /// Writes what is left and closes the file in good order, so that the next start can trust its replies; to be
    /// called when no request is under way any more.
    ///
    /// - Parameter delivered: What was delivered lately; it is there again after the next start.
    package func close(keeping delivered: DeliveredRecord = DeliveredRecord()) async {
        let thread = state.withLock { state in
            defer { state.thread = nil }
            return state.thread
        }
        await thread?.stop(keeping: delivered)
    }

    /// What the tier has done and holds.
    package var counters: DiskCacheCounters {
        var counters = state.withLock { $0.thread }?.counters ?? DiskCacheCounters()
        counters.queuedBytes = journal.queuedBytes
        counters.dropped = journal.droppedReplies
        return counters
    }
}
