import DexatelAPI
import Dispatch
import Foundation
import GRDB
import Logging
import Synchronization

/// The one thread that writes `cache.sqlite`: it takes what has changed, a little later and many at a time.
///
/// A damaged or foreign file is set aside and begun anew. A failing disk turns the tier off for a while; what is to be
/// removed is kept until then, and a file that could not be told to forget is deleted at the end.
final class DiskCacheThread: Sendable {
    /// What look-ups need of an open file.
    struct Connection: Sendable {
        var reader: DiskReader
        var time: DiskTime
    }

    struct Settings: Sendable {
        var file: DiskCacheFile
        /// Whose replies are stored, to begin with.
        var origin: String
        var limits: DiskLimits
        var clock: CacheClock
        /// For how long changes gather while nothing is urgent.
        var lingerMilliseconds: Int
        /// How long the tier stays off after a failure.
        var retryMilliseconds: Int
    }

    let settings: Settings
    let journal: CacheJournal
    private let logger: Logger
    private let memory: MemoryCache
    private let shared = Mutex<(connection: Connection?, counters: DiskCacheCounters)>((nil, DiskCacheCounters()))
    private let ended = DispatchSemaphore(value: 0)
    private let kept = Mutex(DeliveredRecord())
    /// Nil if the file does not tell.
    private let found = Mutex<DeliveredRecord?>(nil)

    init(settings: Settings, journal: CacheJournal, memory: MemoryCache, logger: Logger) {
        self.settings = settings
        self.journal = journal
        self.memory = memory
        self.logger = logger
    }

    /// What had been delivered when the file was closed; nil where nobody knows.
    var delivered: DeliveredRecord? { found.withLock { $0 } }

    /// Nil while the tier is off.
    var connection: Connection? { shared.withLock { $0.connection } }

    var counters: DiskCacheCounters { shared.withLock { $0.counters } }

    func count(_ change: (inout DiskCacheCounters) -> Void) { shared.withLock { change(&$0.counters) } }

    /// Opens the file, then goes on in a thread of its own.
    func start() {
        var loop = Loop(thread: self, runNumber: Int64.random(in: .min ... .max))
        loop.open()
        let run = UncheckedHandOver { loop.run() }
        let thread = Thread { [ended] in
            run.body()
            ended.signal()
        }
        thread.name = "cache-disk"
        thread.start()
    }

    /// Returns when all that was noted is written and the file is closed.
    ///
    /// - Parameter delivered: What is to be kept with the file.
    func stop(keeping delivered: DeliveredRecord) async {
        kept.withLock { $0 = delivered }
        journal.stop()
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
        // no other reference to what it captured (`loop` is local, and its store was made by it).
        let body: () -> Void
    }

    // MARK: - On the thread

    private struct Loop {
        let thread: DiskCacheThread
        /// Tells this run's file from another's when it is opened again.
        let runNumber: Int64
        var origin: String
        /// Nil while the tier is off.
        var store: DiskStore?
        var time: DiskTime?
        var reopenAt = DispatchTime.now()
        var isMoreToClear = true
        /// How far the index is made; nil once it is.
        var indexed: DiskStore.IndexPlace?
        var setAsideAt: DispatchTime?

        var settings: Settings { thread.settings }
        var journal: CacheJournal { thread.journal }

        init(thread: DiskCacheThread, runNumber: Int64) {
            self.thread = thread
            self.runNumber = runNumber
            origin = thread.settings.origin
        }

        mutating func run() {
            while !journal.isStopping { turn() }
            // What was noted until then.
            if store != nil { write(journal.take()) }
            close()
        }

        private mutating func turn() {
            guard store != nil else {
                journal.wait(for: .stop, until: reopenAt)
                if !journal.isStopping, DispatchTime.now() >= reopenAt { open() }
                return
            }
            let isBusy = isMoreToClear || indexed != nil
            journal.wait(for: .any, until: isBusy ? .now() : .distantFuture)
            if !isBusy { journal.wait(for: .urgent, until: .now() + .milliseconds(settings.lingerMilliseconds)) }
            write(journal.take())
            clear()
            index()
        }

        private var now: DiskTime.Saved {
            let wall = settings.clock.wallMilliseconds()
            let monotonic = settings.clock.monotonicMilliseconds()
            return DiskTime.Saved(
                diskMilliseconds: time?.disk(monotonicMilliseconds: monotonic) ?? wall,
                wallMilliseconds: wall
            )
        }

        // MARK: Writing

        private mutating func write(_ batch: CacheJournal.Batch) {
            guard let store, let time else { return journal.finish(batch, isWritten: false) }
            if let origin = batch.origin {
                self.origin = origin
                store.origin = origin
            }
            do {
                if let failure = batch.failure { throw failure }
                try store.remove(batch.removals, time, batch.nextSequence, now)
                // What was removed after it had been stored, and before it was written.
                let stores = batch.stores.filter { store in
                    !batch.removals.covers(
                        store.key,
                        storedAt: store.sequence,
                        heldUpTo: store.response.heldUpToMilliseconds
                    )
                }
                for start in stride(from: 0, to: stores.count, by: DiskStore.storingBatch) {
                    try store.store(
                        stores[start..<min(start + DiskStore.storingBatch, stores.count)],
                        time: time,
                        maxVariants: thread.memory.configuration.maxVariantsPerTarget,
                        batch.nextSequence,
                        now,
                        isInUse: thread.memory.isRead
                    )
                }
                try tell(store, written: stores.count)
                journal.finish(batch, isWritten: true)
                isMoreToClear = isMoreToClear || !batch.removals.isEmpty
            } catch {
                journal.finish(batch, isWritten: false)
                fail(error)
            }
        }

        private mutating func clear() {
            guard isMoreToClear, let store else { return }
            do {
                isMoreToClear = try store.clear()
                try tell(store, written: 0)
            } catch {
                fail(error)
            }
        }

        /// Reads a little more of the file into the index.
        private mutating func index() {
            guard let store else { return }
            guard let place = indexed else {
                if journal.isIndexFull { beginIndex(isOtherFile: false) }
                return
            }
            do {
                let (keys, next) = try store.keys(behind: place)
                journal.addToIndex(keys)
                indexed = next
                if next == nil { journal.endIndex() }
            } catch {
                fail(error)
            }
        }

        private mutating func beginIndex(isOtherFile: Bool) {
            let index = DiskIndex(databaseBytes: settings.limits.databaseBytes)
            journal.beginIndex(index, isOtherFile: isOtherFile)
            indexed = DiskStore.IndexPlace()
        }

        private func tell(_ store: DiskStore, written: Int) throws {
            let bytes = try store.size().usedBytes
            thread.count { counters in
                counters.written += UInt64(written)
                counters.evicted += store.takeEvicted()
                counters.replies = Int(store.replies)
                counters.bytes = bytes
            }
        }

        // MARK: Opening and closing

        mutating func open() {
            do {
                do {
                    try openFile()
                } catch  where DiskCacheFile.isDamage(error) {
                    setAside(error)
                    try openFile()
                }
            } catch {
                fail(error)
            }
        }

        private mutating func openFile() throws {
            try settings.file.prepare()
            switch try settings.file.kind(origin: origin) {
            case .cache, .empty: break
            case .otherVersion:
                settings.file.delete()
                try settings.file.prepare()
            case .otherOrigin:
                settings.file.delete()
                try settings.file.prepare()
                thread.logger.notice("the cache on disk was another upstream's; it is begun anew")
            case .foreign: throw DatabaseError(resultCode: .SQLITE_NOTADB, message: "it is not a cache of the relay")
            }
            let store = try DiskStore(path: settings.file.path, origin: origin, run: runNumber, limits: settings.limits)
            self.store = store
            let opened = try store.open(now)
            let reader = try DiskReader(path: settings.file.path)
            let isOurs = opened.run == runNumber
            let time =
                self.time
                ?? DiskTime(
                    saved: opened.saved,
                    wallMilliseconds: settings.clock.wallMilliseconds(),
                    monotonicMilliseconds: settings.clock.monotonicMilliseconds()
                )
            self.time = time
            if isOurs {
                journal.reopen()
            } else {
                let delivered = time.wasSetBack ? nil : opened.delivered.flatMap { DeliveredRecord(encoded: $0, time) }
                thread.found.withLock { $0 = delivered }
                journal.open(
                    nextSequence: opened.nextSequence,
                    marks: time.wasSetBack ? nil : opened.marks,
                    removals: opened.removals
                )
                if opened.run != nil, !opened.isClean || time.wasSetBack {
                    thread.logger.notice(
                        "the cache on disk was not closed in good order; its replies are confirmed before they are used",
                        metadata: ["path": "\(settings.file.path)"]
                    )
                }
            }
            isMoreToClear = true
            beginIndex(isOtherFile: true)
            thread.shared.withLock { shared in
                shared.connection = Connection(reader: reader, time: time)
                shared.counters.isAvailable = true
            }
            try tell(store, written: 0)
        }

        private mutating func setAside(_ error: any Error) {
            disconnect()
            setAsideAt = .now()
            settings.file.setAside(unixSeconds: settings.clock.wallMilliseconds() / 1000)
            thread.count { $0.setAside += 1 }
            thread.logger.error(
                "the cache on disk cannot be read; it was set aside and begun anew",
                metadata: ["path": "\(settings.file.path)", "error": "\(error)"]
            )
        }

        private mutating func fail(_ error: any Error) {
            disconnect()
            journal.close()
            thread.count { $0.failures += 1 }
            let pause = DispatchTimeInterval.milliseconds(settings.retryMilliseconds)
            if DiskCacheFile.isDamage(error) {
                // A new file that is damaged as well says that it is not the file: no more of them for a while.
                reopenAt = setAsideAt.map { $0 + pause } ?? .now()
                return setAside(error)
            }
            reopenAt = .now() + pause
            thread.logger.error(
                "the cache on disk is off for a while",
                metadata: ["error": "\(error)", "retry_milliseconds": "\(settings.retryMilliseconds)"]
            )
        }

        /// The reader goes first: the last connection to close checkpoints, and that must be the one that commits.
        private mutating func disconnect() {
            let connection = thread.shared.withLock { shared in
                shared.counters.isAvailable = false
                defer { shared.connection = nil }
                return shared.connection
            }
            connection?.reader.close()
            try? store?.close(nil)
            store = nil
        }

        /// What lacks deliveries for which there is no room with the file.
        private func outdated(by gone: [DeliveredRecord.Entry], _ sequence: UInt64) -> PendingRemovals {
            gone.reduce(into: PendingRemovals()) { removals, entry in
                let key = CacheKey(partition: entry.partition, target: entry.contact.path)
                removals.forget(key, deliveredUpTo: entry.atMilliseconds, at: sequence)
            }
        }

        private mutating func close() {
            let connection = thread.shared.withLock { shared in
                shared.counters.isAvailable = false
                defer { shared.connection = nil }
                return shared.connection
            }
            connection?.reader.close()
            do {
                let (marks, nextSequence) = journal.closing
                var delivered = thread.kept.withLock { $0 }
                let gone = delivered.trim(maxBytes: settings.limits.maxReplyBytes)
                if let time {
                    try store?.remove(outdated(by: gone, nextSequence), time, nextSequence, now)
                    try store?.close(
                        DiskStore.Closing(
                            marks: marks,
                            delivered: delivered.encoded(time),
                            nextSequence: nextSequence,
                            now: now
                        )
                    )
                }
            } catch {
                thread.logger.error("the cache on disk was not closed in good order", metadata: ["error": "\(error)"])
            }
            store = nil
            journal.close()
            guard !journal.pendingRemovals.isEmpty else { return }
            settings.file.delete()
            thread.logger.warning("the cache on disk was deleted, as it could not be told what to forget")
        }
    }
}
