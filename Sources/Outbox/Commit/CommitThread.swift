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
    }

    struct Settings: Sendable {
        var stateDirectory: String
        var minFreeDiskBytes: Int64
        var keepReceiptsMilliseconds: Int64
    }

    /// How often the thread looks after the disk, old receipts and the saved clock while there is nothing to commit.
    private static let housekeepingMilliseconds = 1_000
    /// How long after a failed reopening the next one follows.
    private static let reopenMilliseconds = 1_000
    /// How often an idle outbox saves its clock.
    private static let saveClockMilliseconds: Int64 = 60_000

    private let settings: Settings
    private let keys: KeyRegistry
    private let admission: Admission
    private let clock: RelayClock
    private let logger: Logger
    private let inbox = CommitInbox()
    private let health = Mutex(Health.working)
    private let turnCount = Atomic<UInt64>(0)
    private let ended = DispatchSemaphore(value: 0)

    init(settings: Settings, keys: KeyRegistry, admission: Admission, clock: RelayClock, logger: Logger) {
        self.settings = settings
        self.keys = keys
        self.admission = admission
        self.clock = clock
        self.logger = logger
    }

    /// Whether commits work just now.
    var currentHealth: Health { health.withLock { $0 } }

    /// How often the thread has turned; at least once in `housekeepingMilliseconds`.
    var turns: UInt64 { turnCount.load(ordering: .relaxed) }

    /// Whether writes are taken no more.
    var isStopping: Bool { inbox.isStopping }

    func submit(_ writes: [NewWrite]) -> Bool { inbox.add(writes) }

    func record(_ record: LaneSchedule.Ended.Record) { inbox.add(record) }

    /// Starts the thread over a storage that has been opened.
    func start(_ storage: sending any OutboxStorage, opened: OpenedOutbox, observer: any CommitObserver) {
        admission.commit(opened.counts, writes: 0, bytes: 0)
        var loop = Loop(
            thread: self,
            storage: storage,
            observer: observer,
            counts: opened.counts,
            nextSequence: opened.nextSequence,
            nextKeyRow: (opened.keys.map(\.row).max() ?? 0) + 1
        )
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

    // MARK: - On the thread

    private struct Loop {
        let thread: CommitThread
        let storage: any OutboxStorage
        let observer: any CommitObserver
        var counts: WriteCounts
        var nextSequence: Int64
        var nextKeyRow: Int64
        var isFailed = false
        var clockSavedAt = RelayTime(milliseconds: .min)
        var reopenAt = DispatchTime.now()

        mutating func run() {
            clockSavedAt = thread.clock.now()
            var housekeepingAt = DispatchTime.now()
            while let work = thread.inbox.next(until: isFailed ? reopenAt : housekeepingAt) {
                thread.turnCount.add(1, ordering: .relaxed)
                if isFailed {
                    refuse(work)
                    if DispatchTime.now() >= reopenAt { reopen() }
                    continue
                }
                if !work.isEmpty { commit(work) }
                if DispatchTime.now() >= housekeepingAt {
                    let isMoreToPurge = isFailed ? false : keepHouse()
                    // In small steps, so that the writers behind hardly wait, but at once: receipts must not come
                    // faster than they go (P8).
                    if !isMoreToPurge {
                        housekeepingAt = .now() + .milliseconds(CommitThread.housekeepingMilliseconds)
                    }
                }
            }
            if !isFailed { commitQuietly(newTransaction()) }
            storage.close()
        }

        private func newTransaction() -> OutboxTransaction {
            var transaction = OutboxTransaction()
            transaction.counts = counts
            transaction.nextSequence = nextSequence
            transaction.clock = thread.clock.now()
            transaction.wallMilliseconds = RelayClock.wallMilliseconds()
            return transaction
        }

        private mutating func commit(_ work: CommitInbox.Work) {
            var transaction = newTransaction()
            var batch = CommittedBatch(attempts: work.attempts, ends: work.ends)
            var newKeys: [(key: KnownKey, row: Int64)] = []
            do {
                for write in work.writes {
                    let keyRow = try row(of: write.key, &newKeys, &transaction)
                    add(write, keyRow: keyRow, &transaction, &batch)
                }
                add(work.attempts, &transaction)
                add(work.ends, &transaction)
                try thread.precondition(transaction.counts)
                try storage.commit(transaction)
            } catch {
                fail(error)
                refuse(work)
                return
            }
            nextSequence = transaction.nextSequence
            save(transaction, batch.accepted)
            for (key, row) in newKeys { thread.keys.adopt(key, row: row) }
            for accepted in batch.accepted { thread.keys.commit(accepted.write.key) }
            observer.committed(batch)
        }

        private mutating func save(
            _ transaction: OutboxTransaction,
            _ accepted: [(write: NewWrite, pending: PendingWrite)] = []
        ) {
            counts = transaction.counts
            clockSavedAt = transaction.clock
            let bytes = accepted.reduce(0) { $0 + $1.write.admittedBytes }
            thread.admission.commit(counts, writes: accepted.count, bytes: bytes)
        }

        private mutating func row(
            of key: KnownKey,
            _ newKeys: inout [(key: KnownKey, row: Int64)],
            _ transaction: inout OutboxTransaction
        ) throws -> Int64 {
            if let row = key.current.row { return row }
            if let new = newKeys.first(where: { $0.key.fingerprint == key.fingerprint }) { return new.row }
            let row = nextKeyRow
            nextKeyRow += 1
            let vault = thread.keys.vault
            transaction.newKeys.append(
                OutboxTransaction.KeyRow(
                    row: row,
                    fingerprint: key.fingerprint,
                    sealed: try vault.seal(key.secret, fingerprint: key.fingerprint),
                    masterKeyIdentifier: vault.masterKeyIdentifier
                )
            )
            newKeys.append((key, row))
            return row
        }

        private func add(
            _ write: NewWrite,
            keyRow: Int64,
            _ transaction: inout OutboxTransaction,
            _ batch: inout CommittedBatch
        ) {
            let headerText = write.payload.headerText
            let pending = PendingWrite(
                id: WriteID(sequence: transaction.nextSequence, nonce: .random(in: .min ... .max)),
                contact: write.contact,
                keyRow: keyRow,
                method: write.method,
                storedBytes: write.admittedBytes,
                acceptedClock: transaction.clock,
                attempts: 0,
                nextAttempt: nil,
                isHeld: false,
                isAmbiguous: false
            )
            transaction.nextSequence += 1
            transaction.accepts.append(.init(write: pending, payload: write.payload, headerText: headerText))
            transaction.counts.accepted += 1
            transaction.counts.pending += 1
            transaction.counts.storedBytes += Int64(pending.storedBytes)
            transaction.pendingByKey[keyRow, default: 0] += 1
            batch.accepted.append((write, pending))
        }

        private func add(_ attempts: [AttemptRecord], _ transaction: inout OutboxTransaction) {
            transaction.attempts = attempts
            for attempt in attempts {
                transaction.counts.held += (attempt.isHeld ? 1 : 0) - (attempt.wasHeld ? 1 : 0)
                if let key = attempt.refusedKey { transaction.refusedKeys.insert(key) }
            }
        }

        private func add(_ ends: [EndRecord], _ transaction: inout OutboxTransaction) {
            transaction.ends = ends
            for end in ends {
                transaction.counts.countEnd(as: end.state)
                if end.wasHeld { transaction.counts.held -= 1 }
                if end.state != .dead { transaction.counts.storedBytes -= Int64(end.storedBytes) }
                transaction.pendingByKey[end.keyRow, default: 0] -= 1
                switch end.keyVerdict {
                case .verified:
                    // Most keys are verified already; only a change is worth a row.
                    let status = thread.keys.key(row: end.keyRow)?.current
                    if status?.isVerified != true || status?.isRefused != false {
                        transaction.verifiedKeys.insert(end.keyRow)
                        transaction.refusedKeys.remove(end.keyRow)
                    }
                case .refused:
                    transaction.refusedKeys.insert(end.keyRow)
                    transaction.verifiedKeys.remove(end.keyRow)
                case nil: break
                }
            }
        }

        private func refuse(_ work: CommitInbox.Work) {
            var sinks = AnswerBatches()
            for write in work.writes {
                thread.keys.release(write.key)
                thread.admission.release(writes: 1, bytes: write.admittedBytes)
                sinks.add(write.sink, write.token, .unavailable(.storageFailed))
            }
            sinks.send()
        }

        // MARK: Housekeeping

        /// Looks after disk, receipts and clock; returns whether there may be more receipts to purge.
        private mutating func keepHouse() -> Bool {
            thread.checkDisk()
            let now = thread.clock.now()
            let before = now + -thread.settings.keepReceiptsMilliseconds
            var transaction = newTransaction()
            do {
                let purges = try storage.hasReceipts(endedBefore: before)
                if purges {
                    transaction.purgeEndedBefore = before
                } else if now - clockSavedAt < CommitThread.saveClockMilliseconds {
                    return false
                }
                try storage.commit(transaction)
                save(transaction)
                return purges
            } catch {
                fail(error)
                return false
            }
        }

        private mutating func commitQuietly(_ transaction: OutboxTransaction) {
            do {
                try storage.commit(transaction)
            } catch {
                thread.logger.error("the clock could not be saved", metadata: ["error": "\(error)"])
            }
        }

        // MARK: Failure

        private mutating func fail(_ error: any Error) {
            isFailed = true
            reopenAt = .now() + .milliseconds(CommitThread.reopenMilliseconds)
            thread.health.withLock { $0 = .failed("\(error)") }
            thread.logger.error(
                "a commit failed; the outbox takes no writes until it has been reopened and verified",
                metadata: ["error": "\(error)"]
            )
            storage.closeWriter()
            observer.storageFailed()
        }

        private mutating func reopen() {
            do {
                let opened = try storage.open(verify: true)
                try thread.keys.load(opened.keys)
                counts = opened.counts
                nextSequence = opened.nextSequence
                nextKeyRow = (opened.keys.map(\.row).max() ?? 0) + 1
                isFailed = false
                thread.admission.commit(opened.counts, writes: 0, bytes: 0)
                thread.health.withLock { $0 = .working }
                thread.logger.notice("the outbox has been reopened and verified")
                observer.reopened(opened)
            } catch {
                reopenAt = .now() + .milliseconds(CommitThread.reopenMilliseconds)
                thread.health.withLock { $0 = .failed("\(error)") }
                thread.logger.debug("the outbox cannot be reopened yet", metadata: ["error": "\(error)"])
            }
        }
    }

    /// Books that do not balance are never committed (P2).
    private func precondition(_ counts: WriteCounts) throws {
        guard counts.isBalanced else {
            throw OutboxError(.damaged, "the books would not balance: \(counts)")
        }
    }

    private func checkDisk() {
        var statistics = statvfs()
        guard statvfs(settings.stateDirectory, &statistics) == 0 else { return }
        let free = Int64(statistics.f_bavail) * Int64(statistics.f_frsize)
        let isLow = free < settings.minFreeDiskBytes
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
