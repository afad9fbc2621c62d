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
/// Hits know nothing of it. On a miss, ``mayHold(_:)`` knows most of the keys for which there is nothing, and ``load(_:)``
/// looks on disk and puts what it finds into memory, where it is then looked up again. No error of the disk reaches a client: the tier is off for a while, and counts it.
package final class DiskCache: Sendable {
    /// How many look-ups may be under way, or wait for one of the same key; further ones are refused.
    package static let maxLookups = 16_384

    /// What came of a look-up.
    package enum Lookup: Sendable, Equatable {
        /// What the disk has is in memory now.
        case done
        /// The disk has nothing.
        case nothing
        /// Too many are under way: nobody knows.
        case tooMany
    }

    /// Where the memory tier notes its changes.
    package let journal: CacheJournal
    private let settings: DiskCacheThread.Settings
    private let maxLookups: Int
    private let logger: Logger
    private let state = Mutex(State())

    private struct State {
        var thread: DiskCacheThread?
        var memory: MemoryCache?
        /// By key, with everybody who waits for what another has begun.
        var lookups: [CacheKey: [CheckedContinuation<Lookup, Never>]] = [:]
        var lookupCount = 0
        var admits: @Sendable (CacheKey, StoredResponse) -> Bool = { _, _ in true }
    }

    /// Notes what is wanted; nothing is opened yet.
    ///
    /// - Parameters:
    ///   - path: The database, in a directory that is its owner's alone; it is made with mode 0600.
    ///   - origin: Whose replies are stored: what precedes each target. What another upstream has said is not used.
    ///   - maxBytes: What its files may take together (`reads.disk`); less than 1 MiB counts as 1 MiB.
    ///   - maxLookups: Look-ups under way or waiting, at most.
    ///   - lingerMilliseconds: For how long changes gather before they are written.
    ///   - retryMilliseconds: How long the tier stays off after a failure.
    package init(
        path: String,
        origin: String,
        maxBytes: Int,
        clock: CacheClock = .system,
        maxLookups: Int = DiskCache.maxLookups,
        lingerMilliseconds: Int = 250,
        retryMilliseconds: Int = 30_000,
        logger: Logger
    ) {
        let limits = DiskLimits(maxBytes: maxBytes)
        settings = DiskCacheThread.Settings(
            file: DiskCacheFile(path: path),
            origin: origin,
            limits: limits,
            clock: clock,
            lingerMilliseconds: lingerMilliseconds,
            retryMilliseconds: retryMilliseconds
        )
        self.maxLookups = maxLookups
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

    /// Whether ``load(_:)`` may find something: without a wait, and with certainty if not.
    package func mayHold(_ key: CacheKey) -> Bool { journal.mayHold(key) }

    /// Puts into memory what is on disk for a key, all of its variants.
    ///
    /// Whoever asks for a key that is being looked up waits for that one.
    package func load(_ key: CacheKey) async -> Lookup {
        let begun = state.withLock { state -> (lookup: Lookup?, thread: DiskCacheThread?, memory: MemoryCache?) in
            guard state.thread != nil else { return (.nothing, nil, nil) }
            guard state.lookupCount < maxLookups else { return (.tooMany, nil, nil) }
            state.lookupCount += 1
            guard state.lookups[key] == nil else { return (nil, nil, nil) }
            state.lookups[key] = []
            return (nil, state.thread, state.memory)
        }
        if let refused = begun.lookup { return refused }
        defer { state.withLock { $0.lookupCount -= 1 } }
        guard let thread = begun.thread, let memory = begun.memory else { return await wait(for: key) }
        let lookup = await look(key, thread, memory) ? Lookup.done : .nothing
        let waiting = state.withLock { $0.lookups.removeValue(forKey: key) ?? [] }
        for waiter in waiting { waiter.resume(returning: lookup) }
        return lookup
    }

    private func wait(for key: CacheKey) async -> Lookup {
        await withCheckedContinuation { continuation in
            let isUnderWay = state.withLock { state in
                guard state.lookups[key] != nil else { return false }
                state.lookups[key]?.append(continuation)
                return true
            }
            // It has just ended: whatever it has found is in memory.
            if !isUnderWay { continuation.resume(returning: .done) }
        }
    }

    /// - Returns: Whether there is reason to look in memory again.
    private func look(_ key: CacheKey, _ thread: DiskCacheThread, _ memory: MemoryCache) async -> Bool {
        let admits = state.withLock { $0.admits }
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
                admits(key, response)
            else { continue }
            let isInvalidated =
                reply.flags.contains(.isInvalidated) || journal.isInDoubt(path, storedAt: reply.sequence)
            guard memory.restore(response, for: key, isInvalidated: isInvalidated, since: token) else { continue }
            // Asked again, as what is forgotten meanwhile is looked for in memory, and may have been before this was there.
            if admits(key, response) { isFound = true } else { memory.remove(response, key) }
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
