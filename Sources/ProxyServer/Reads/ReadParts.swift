import ResponseCache
import Synchronization

/// What all reads share.
final class ReadParts: Sendable {
    let cache: MemoryCache
    /// What is on disk is looked for there before the upstream is asked.
    let disk: DiskCache?
    let overlay: PendingOverlay
    let flights = FlightTable()
    let refreshes = RefreshQueue()
    let clock: ReadClock
    private let waiterLimit: Atomic<Int>
    private let waiters = Atomic<Int>(0)
    private let collapsedReads = Atomic<UInt64>(0)
    private let pauses = Mutex(ExpiringSet<CachePartition>(capacity: 4096))
    private let unstorable = Mutex(ExpiringSet<UnstorableRead>(capacity: 8192))

    init(cache: MemoryCache, disk: DiskCache? = nil, overlay: PendingOverlay, clock: ReadClock, maxWaiters: Int) {
        self.cache = cache
        self.disk = disk
        self.overlay = overlay
        self.clock = clock
        waiterLimit = Atomic(maxWaiters)
    }

    /// `reads.max_waiters`.
    var maxWaiters: Int {
        get { waiterLimit.load(ordering: .relaxed) }
        set { waiterLimit.store(newValue, ordering: .relaxed) }
    }

    /// Requests that wait for another one's reply just now.
    var waiting: Int { waiters.load(ordering: .relaxed) }

    /// Counts one more request that waits for another one's reply; false beyond `reads.max_waiters` (P8).
    func admitWaiter() -> Bool {
        guard waiters.add(1, ordering: .relaxed).newValue > maxWaiters else { return true }
        waiters.subtract(1, ordering: .relaxed)
        return false
    }

    /// Requests that shared another one's reply, ever.
    var collapsed: UInt64 { collapsedReads.load(ordering: .relaxed) }

    func countCollapsed() { collapsedReads.add(1, ordering: .relaxed) }

    func releaseWaiter() { waiters.subtract(1, ordering: .relaxed) }

    // MARK: - Hit-for-miss

    /// Remembers that the reply to a read was not storable.
    ///
    /// Further reads of the same are not worth coalescing: each would wait for a reply that it cannot share, and then ask
    /// for its own.
    func noteUnstorable(_ read: ReadRequest) {
        let now = clock.milliseconds()
        let member = UnstorableRead(read)
        unstorable.withLock {
            $0.insert(member, untilMilliseconds: now + Self.unstorableMilliseconds, nowMilliseconds: now)
        }
    }

    /// Notes that the reply to a read has been stored.
    func noteStorable(_ read: ReadRequest) {
        let member = UnstorableRead(read)
        unstorable.withLock { $0.remove(member) }
    }

    /// Notes whether a reply could stay stored that the upstream has confirmed.
    func noteStorability(_ fresh: FreshenedResponse, of read: ReadRequest) {
        switch fresh.refusal {
        case nil where !fresh.isForOneClient: noteStorable(read)
        case nil: noteUnstorable(read)
        case let refusal?: if refusal.isLasting { noteUnstorable(read) }
        }
    }

    /// Whether the reply to a read like this one was not storable a while ago.
    func isUnstorable(_ read: ReadRequest) -> Bool {
        let now = clock.milliseconds()
        let member = UnstorableRead(read)
        return unstorable.withLock { $0.contains(member, nowMilliseconds: now) }
    }

    /// After this time reads try to share a reply again.
    static let unstorableMilliseconds: Int64 = 120_000

    // MARK: - Pauses

    /// Pauses the reads of a partition: the upstream has asked for it.
    func pause(_ partition: CachePartition, milliseconds: Int64) {
        let now = clock.milliseconds()
        pauses.withLock { $0.insert(partition, untilMilliseconds: now + milliseconds, nowMilliseconds: now) }
    }

    /// Whether the upstream has asked for no further requests of a partition, for the time being.
    func isPaused(_ partition: CachePartition) -> Bool {
        let now = clock.milliseconds()
        return pauses.withLock { $0.contains(partition, nowMilliseconds: now) }
    }
}

/// What tells reads apart whose replies cannot be stored.
private struct UnstorableRead: Hashable, Sendable {
    /// The cache key's: at worst another read's requests are not coalesced.
    let keyHash: UInt64
    /// One user's credentials say nothing of replies to requests without any.
    let carriesCredentials: Bool

    init(_ read: ReadRequest) {
        keyHash = read.cacheKey.hash
        carriesCredentials = read.cacheRequest.carriesCredentials
    }
}
