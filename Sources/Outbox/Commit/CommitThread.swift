import DexatelAPI
import Dispatch
import Foundation
import Logging
import Synchronization

/// The one thread that writes the outbox: it gathers, commits, and tells (design §3.1, §8).
///
/// After a failed commit the database is closed, reopened, verified and loaded again; an fsync is never retried.
final class CommitThread: Sendable {
    /// Whether commits work.
    enum Health: Sendable, Equatable {
        case working
        case diskLow(freeBytes: Int64)
        case failed(String)
        /// The files that are open are not those at their paths.
        case filesLost(String)
    }

    struct Settings: Sendable {
        var stateDirectory: String
        var minFreeDiskBytes: Int64
        var keepReceiptsMilliseconds: Int64
        var maxReceipts = Int64.max
        var maxAgeMilliseconds = Int64.max
        var maxUnverifiedKeys = Int.max
    }

    var settings: Settings { currentSettings.withLock { $0 } }
    private let currentSettings: Mutex<Settings>
    let keys: KeyRegistry
    let admission: Admission
    let clock: RelayClock
    let logger: Logger
    let inbox = CommitInbox()
    let health = Mutex(Health.working)
    let turnCount = Atomic<UInt64>(0)
    let deadCounts = DeadCounts()
    /// Which contacts have pending writes.
    let contacts = PendingContacts()
    /// The upstream has come back since the thread looked last.
    let hasRecovered = Atomic<Bool>(false)
    /// Counted on the thread, once what is counted is durable.
    let transitions = Mutex(WriteTransitions())
    private let deathObserver = Mutex<(@Sendable (WriteID) -> Void)?>(nil)
    private let ended = DispatchSemaphore(value: 0)

    init(settings: Settings, keys: KeyRegistry, admission: Admission, clock: RelayClock, logger: Logger) {
        currentSettings = Mutex(settings)
        self.keys = keys
        self.admission = admission
        self.clock = clock
        self.logger = logger
    }

    /// Takes other bounds, from the next turn on.
    func reload(_ settings: Settings) { currentSettings.withLock { $0 = settings } }

    /// Whether commits work just now.
    var currentHealth: Health { health.withLock { $0 } }

    /// How often the thread has turned; at least once in `CommitLoop.housekeepingMilliseconds`, and while it verifies the
    /// database, as often as that makes progress.
    var turns: UInt64 { turnCount.load(ordering: .relaxed) }

    /// Whether writes are taken no more.
    var isStopping: Bool { inbox.isStopping }

    func submit(_ writes: [NewWrite]) -> Bool { inbox.add(writes) }

    /// Has the outcomes of attempts decided on and made durable.
    func record(_ outcomes: [(outcome: AttemptOutcome, waiter: Waiter?)]) { inbox.add(outcomes) }

    /// Has the thread look for something to do.
    func wake() { inbox.wake() }

    /// The upstream is there again: what waited only for that goes on.
    func upstreamRecovered() {
        hasRecovered.store(true, ordering: .releasing)
        inbox.wake()
    }

    /// Has something done on the thread; it hears either that it is durable or that it has failed.
    func perform(_ operation: any CommitOperation) {
        if !inbox.add(operation) { operation.failed(OutboxError(.storage, "the relay is stopping")) }
    }

    /// Has the database reopened and verified, and takes nothing before it has been, when an error says that it is damaged.
    func reportDamage(_ error: any Error) {
        guard OutboxError.isDamage(error) else { return }
        perform(FailDamaged(error: error))
    }

    /// Has somebody told of each death, on the commit thread, once it is durable.
    func setDeathObserver(_ observer: @escaping @Sendable (WriteID) -> Void) {
        deathObserver.withLock { $0 = observer }
    }

    /// Tells the log, and who wants to know, of each death once it is durable, whatever brought it (design §3.5).
    func tellDeaths(_ ends: [EndRecord]) {
        guard ends.contains(where: { $0.state == .dead }) else { return }
        let observer = deathObserver.withLock { $0 }
        for end in ends where end.state == .dead {
            // No contact data, and of the key its fingerprint alone (P7).
            var metadata: Logger.Metadata = [
                "write": "\(end.write.id)", "contact": "\(end.write.contact.path)",
                "error": "\(end.lastError ?? "unknown")",
            ]
            if let key = keys.key(row: end.write.keyRow) { metadata["key"] = "\(key.fingerprint)" }
            if let status = end.response?.status { metadata["status"] = "\(status)" }
            logger.warning("a write died after its sender was told 202", metadata: metadata)
            observer?(end.write.id)
        }
    }

    /// Tells the log that a key's writes are held from now on: once for each change, not for each write (design §3.3).
    func tellHeld(_ key: KnownKey, _ write: PendingWrite?) {
        var metadata: Logger.Metadata = [
            "key": "\(key.fingerprint)", "pending": "\(key.pendingCount)", "status": "401",
        ]
        if let write { metadata["write"] = "\(write.id)" }
        logger.warning("the upstream refuses an API key; its writes are held", metadata: metadata)
    }

    /// Tells the log that a key's writes are held no longer.
    func tellTaken(_ key: KnownKey) {
        logger.notice(
            "the upstream takes an API key again; its writes go on",
            metadata: ["key": "\(key.fingerprint)", "pending": "\(key.pendingCount)"]
        )
    }

    /// Damaged writes that the log names one by one at most.
    private static let maxToldDamaged = 20

    /// Tells the log of writes that were damaged and are set aside.
    func tell(_ setAside: [DamagedWrite]) {
        guard !setAside.isEmpty else { return }
        for write in setAside.prefix(Self.maxToldDamaged) {
            logger.critical(
                "a damaged write was set aside; those behind it in its lane go on",
                metadata: [
                    "sequence": "\(write.sequence)", "was": "\(write.place.rawValue)", "error": "\(write.reason)",
                ]
            )
        }
        logger.critical(
            "damaged writes were set aside: see contact-relay outbox damaged",
            metadata: ["writes": "\(setAside.count)"]
        )
    }

    /// Tells the log of an attempt that did not end its write.
    func tell(_ attempt: AttemptRecord) {
        guard logger.logLevel <= .debug else { return }
        // No contact data (P7).
        logger.debug(
            "a write will be tried again",
            metadata: [
                "write": "\(attempt.after.id)", "contact": "\(attempt.contact.path)",
                "attempts": "\(attempt.after.attempts)", "error": "\(attempt.lastError)",
            ]
        )
    }

    /// Tells the log that something else than the API answers, or that the API does again.
    func tell(_ notice: ForeignReplies.Notice) {
        switch notice {
        case .began(let reason):
            logger.warning(
                "deliveries pause: something else than the API answers them; one at a time finds out when it is back",
                metadata: ["contacts": "\(ForeignReplies.maxContacts)", "error": "\(reason)"]
            )
        case .ended: logger.notice("deliveries go on: the API answers them again")
        }
    }

    /// Tells the log that writes of a key are held on a 403, of which this is the first.
    func tellForbidden(_ key: KnownKey, _ write: PendingWrite) {
        logger.warning(
            "the upstream forbids an API key's write, which is held; others of the key may follow",
            metadata: [
                "key": "\(key.fingerprint)", "write": "\(write.id)", "contact": "\(write.contact.path)",
                "status": "403",
            ]
        )
    }

    /// Starts the thread over a storage that has been opened.
    func start(_ storage: sending any OutboxStorage, opened: OpenedOutbox, engine: DeliveryEngine) {
        admission.commit(opened.counts, writes: 0, bytes: 0)
        deadCounts.load(opened.dead)
        tell(opened.setAside)
        var loop = CommitLoop(thread: self, storage: storage, engine: engine, opened: opened)
        let run = UncheckedHandOver { loop.run() }
        let thread = Thread { [ended] in
            run.body()
            ended.signal()
        }
        thread.name = "outbox-commit"
        thread.start()
    }

    /// Commits what has been submitted, closes the database, and returns when that is done.
    func stop() async {
        inbox.stop()
        await withCheckedContinuation { continuation in
            DispatchQueue.global().async { [ended] in
                ended.wait()
                continuation.resume()
            }
        }
    }

    /// Carries the loop to its thread, which is the only one to touch it from then on.
    private struct UncheckedHandOver: @unchecked Sendable {
        // Proof: the closure is made in `start`, handed to exactly one thread, and called there once; `start` keeps
        // no other reference to what it captured (`storage` is `sending`, `loop` is local).
        let body: () -> Void
    }

    /// Books that do not balance are never committed (P2).
    func precondition(_ counts: WriteCounts) throws {
        guard counts.isBalanced else {
            throw OutboxError(.damaged, "the books would not balance: \(counts)")
        }
    }

    /// Tells health and log how much room the disk has; once for each change.
    ///
    /// - Parameter isFull: Whether a commit has found no room, whatever the file system says.
    func tellDisk(isFull: Bool) {
        guard let free = AllocatedFile.freeBytes(at: settings.stateDirectory) else { return }
        let isLow = isFull || free < settings.minFreeDiskBytes
        let changed = health.withLock { health in
            let wasLow: Bool
            if case .diskLow = health { wasLow = true } else { wasLow = false }
            health = isLow ? .diskLow(freeBytes: free) : .working
            return wasLow != isLow
        }
        guard changed else { return }
        if isLow {
            logger.error("too little free disk; writes are refused", metadata: ["free_bytes": "\(free)"])
        } else {
            logger.notice("enough free disk again; writes are taken", metadata: ["free_bytes": "\(free)"])
        }
    }
}
