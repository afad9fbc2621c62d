import DexatelAPI
import Foundation
import GRDB

/// `cache.sqlite` as its one writing thread has it: the only connection that commits and checkpoints (design §8).
///
/// WAL with `synchronous=NORMAL`: a crash of the machine may cost the last replies, not the file. What is removed for a
/// refused key is synced at once.
final class DiskStore {
    /// What a file held when it was opened.
    struct Opened {
        /// Which run of the relay wrote it last.
        var run: Int64?
        var isClean = false
        var nextSequence: UInt64 = 1
        var saved: DiskTime.Saved?
        /// Nil if they cannot be trusted.
        var marks: InvalidationMarks?
        /// What had been delivered (``DeliveredRecord``); nil if that cannot be trusted.
        var delivered: Data?
        /// Purges that were begun and not ended.
        var removals = PendingRemovals()
    }

    static let pageBytes = 4096
    /// How many replies go at once when room is made.
    static let evictionBatch = 64
    /// How many replies one transaction writes.
    static let storingBatch = 2048
    /// How many replies, and how many pages, one step of a clearance takes away.
    static let clearingRows = 512
    /// Shared memory for a log of 32 MiB.
    private static let sharedMemoryBytes = 64 << 10
    static let clearingPages = 512
    /// How many numbers of owners are remembered.
    private static let maxOwners = 1024

    let limits: DiskLimits
    let queue: DatabaseQueue
    private let run: Int64
    private let path: String
    /// Open for as long as the file is.
    private var sharedMemory: AllocatedFile?
    /// The upstream whose replies these are; it goes with every transaction.
    var origin: String
    private var owners: [CachePartition: Int64] = [:]
    /// How many replies the file holds; those that are out of reach and not yet cleared away included.
    var replies: Int64 = 0
    var evicted: UInt64 = 0

    /// Opens a file that ``DiskCacheFile`` has found to be a cache or empty.
    init(path: String, origin: String, run: Int64, limits: DiskLimits) throws {
        self.limits = limits
        self.origin = origin
        self.run = run
        self.path = path
        var configuration = GRDB.Configuration()
        configuration.journalMode = .wal
        configuration.label = "cache"
        configuration.prepareDatabase { database in
            try database.execute(
                sql: """
                    PRAGMA auto_vacuum = INCREMENTAL;
                    PRAGMA temp_store = MEMORY;
                    PRAGMA cache_size = -2048;
                    PRAGMA wal_autocheckpoint = \(limits.checkpointPages);
                    PRAGMA journal_size_limit = \(limits.checkpointPages * Self.pageBytes);
                    """
            )
        }
        queue = try DatabaseQueue(path: path, configuration: configuration)
    }

    // MARK: - Opening and closing

    /// Reads what there is to know, and notes in the file itself that it is in use: until it is closed in good order,
    /// nobody can tell which of its replies are still good.
    func open(_ now: DiskTime.Saved) throws -> Opened {
        try queue.writeWithoutTransaction { database in
            var opened = Opened()
            if try !database.tableExists("state") {
                try database.inTransaction(.immediate) {
                    try database.execute(sql: DiskCacheSchema.tables)
                    return .commit
                }
            }
            try read(&opened, database)
            sharedMemory = try AllocatedFile(path: path + "-shm", bytes: Self.sharedMemoryBytes)
            try database.execute(sql: "PRAGMA synchronous = FULL")
            try database.inTransaction(.immediate) {
                try database.execute(
                    sql: """
                        INSERT OR REPLACE INTO state VALUES (1, ?, 0, ?, ?, ?, ?, ?);
                        DELETE FROM invalidation;
                        DELETE FROM owner WHERE NOT EXISTS (SELECT 1 FROM reply WHERE reply.owner = owner.id);
                        """,
                    arguments: [
                        run, Int64(bitPattern: opened.nextSequence),
                        opened.saved?.diskMilliseconds ?? now.diskMilliseconds,
                        opened.saved?.wallMilliseconds ?? now.wallMilliseconds, replies, origin,
                    ]
                )
                return .commit
            }
            try database.execute(sql: "PRAGMA wal_checkpoint(TRUNCATE); PRAGMA synchronous = NORMAL")
            return opened
        }
    }

    private func read(_ opened: inout Opened, _ database: Database) throws {
        guard let row = try Row.fetchOne(database, sql: "SELECT * FROM state") else { return }
        let saved = DiskTime.Saved(
            diskMilliseconds: try row.decode(forColumn: "clock_disk"),
            wallMilliseconds: try row.decode(forColumn: "clock_wall")
        )
        let nextSequence = try row.decode(Int64.self, forColumn: "next_sequence")
        replies = try row.decode(forColumn: "replies")
        guard saved.isPlausible, DiskTime.plausible.contains(replies), nextSequence > 0,
            DiskTime.plausible.contains(nextSequence)
        else {
            throw DatabaseError(resultCode: .SQLITE_CORRUPT, message: "its state is out of range")
        }
        opened.saved = saved
        opened.run = try row.decode(Int64.self, forColumn: "run")
        opened.isClean = try row.decode(forColumn: "is_clean")
        opened.nextSequence = UInt64(nextSequence)
        if opened.isClean, let row = try Row.fetchOne(database, sql: "SELECT marks, delivered FROM invalidation") {
            let marks = InvalidationMarks(encoded: try row.decode(forColumn: "marks"))
            opened.marks = marks.flatMap { $0.latest < opened.nextSequence ? $0 : nil }
            opened.delivered = try row.decode(forColumn: "delivered")
        }
        for purge in try Row.fetchAll(database, sql: "SELECT path FROM purge") {
            opened.removals.purge(try purge.decode(forColumn: "path"), at: opened.nextSequence)
        }
    }

    /// What goes with a file that is closed in good order.
    struct Closing {
        var marks: InvalidationMarks
        var delivered: Data
        var nextSequence: UInt64
        var now: DiskTime.Saved
    }

    /// Closes the file; in good order if its invalidations go with it.
    func close(_ closing: Closing?) throws {
        defer { try? queue.close() }
        guard let closing else { return }
        try queue.writeWithoutTransaction { database in
            // The mark of good order comes last and by itself: it must not be there without what it vouches for.
            try database.execute(sql: "PRAGMA synchronous = FULL")
            try database.inTransaction(.immediate) {
                try database.execute(
                    sql: "INSERT OR REPLACE INTO invalidation VALUES (1, ?, ?)",
                    arguments: [closing.marks.encoded, closing.delivered]
                )
                try save(closing.nextSequence, closing.now, database)
                try database.execute(sql: "UPDATE state SET is_clean = 1")
                return .commit
            }
            try database.execute(sql: "PRAGMA wal_checkpoint(TRUNCATE)")
        }
    }

    func save(_ nextSequence: UInt64, _ now: DiskTime.Saved, _ database: Database) throws {
        try database.cachedStatement(
            sql: "UPDATE state SET next_sequence = ?, clock_disk = ?, clock_wall = ?, replies = ?, origin = ?"
        ).execute(arguments: [
            Int64(bitPattern: nextSequence), now.diskMilliseconds, now.wallMilliseconds, replies, origin,
        ])
    }

    // MARK: - Removing

    /// Takes away what is to go, and returns when that is on disk for good, as far as it is urgent.
    func remove(
        _ removals: PendingRemovals,
        _ time: DiskTime,
        _ nextSequence: UInt64,
        _ now: DiskTime.Saved
    ) throws {
        guard !removals.isEmpty else { return }
        // After a failure the file may hold other numbers than were thought.
        forgetOwners()
        let before = replies
        do {
            let changed = try queue.writeWithoutTransaction { database in
                var changed = 0
                try database.inTransaction(.immediate) {
                    changed = try removeNow(removals, time, database)
                    if changed == 0 { return .rollback }
                    try save(nextSequence, now, database)
                    return .commit
                }
                guard changed > 0, removals.isUrgent else { return changed > 0 }
                // A commit that is synced takes those before it along.
                try database.execute(sql: "PRAGMA synchronous = FULL")
                try database.execute(sql: "UPDATE state SET is_clean = 0")
                try database.execute(sql: "PRAGMA synchronous = NORMAL")
                return true
            }
            if changed { for path in removals.paths.keys { try purge(path, nextSequence, now) } }
        } catch {
            replies = before
            throw error
        }
    }

    private func removeNow(_ removals: PendingRemovals, _ time: DiskTime, _ database: Database) throws -> Int {
        let start = database.totalChangesCount
        if removals.everything != nil {
            try database.execute(sql: "UPDATE owner SET is_forgotten = 1 WHERE is_forgotten = 0; DELETE FROM purge")
        }
        for partition in removals.partitions.keys {
            let (isShared, high, low) = partition.columns
            try database.cachedStatement(
                sql: """
                    UPDATE owner SET is_forgotten = 1
                    WHERE is_shared = ? AND high = ? AND low = ? AND is_forgotten = 0
                    """
            ).execute(arguments: [isShared, high, low])
        }
        for key in removals.keys.keys {
            guard let owner = try owner(of: key.partition, database) else { continue }
            for row in try rows(owner, key.target, database) { try delete(row.position, database) }
        }
        for (key, gone) in removals.outdated {
            guard let owner = try owner(of: key.partition, database) else { continue }
            let limit = time.disk(monotonicMilliseconds: gone.milliseconds)
            for row in try rows(owner, key.target, database) where row.held <= limit {
                try delete(row.position, database)
            }
        }
        // Noted first, so that a purge that is cut short goes on at the next start.
        for (path, sequence) in removals.paths {
            try database.execute(
                sql: "INSERT OR REPLACE INTO purge VALUES (?, ?)",
                arguments: [path, Int64(bitPattern: sequence)]
            )
        }
        return database.totalChangesCount - start
    }

    /// Goes through all replies in small steps.
    private func purge(_ path: String, _ nextSequence: UInt64, _ now: DiskTime.Saved) throws {
        var after: Int64 = .min
        var isDone = false
        while !isDone {
            try queue.inTransaction(.immediate) { database in
                let rows = try Row.fetchAll(
                    database.cachedStatement(
                        sql: "SELECT position, target FROM reply WHERE position > ? ORDER BY position LIMIT 1024"
                    ),
                    arguments: [after]
                )
                for row in rows {
                    after = try row.decode(forColumn: "position")
                    let target = try row.decode(String.self, forColumn: "target")
                    if EventLog.isAtOrBelow(InvalidationPath.normal(target), path) { try delete(after, database) }
                }
                isDone = rows.count < 1024
                if isDone { try database.execute(sql: "DELETE FROM purge WHERE path = ?", arguments: [path]) }
                try save(nextSequence, now, database)
                return .commit
            }
        }
    }

    /// How many have made room since this was last asked.
    func takeEvicted() -> UInt64 {
        defer { evicted = 0 }
        return evicted
    }

    func evict(_ position: Int64, _ database: Database) throws {
        try delete(position, database)
        evicted += 1
    }

    func delete(_ position: Int64, _ database: Database) throws {
        try database.cachedStatement(sql: "DELETE FROM reply WHERE position = ?").execute(arguments: [position])
        replies -= Int64(database.changesCount)
    }

    // MARK: - Rows and owners

    func rows(
        _ owner: Int64,
        _ target: String,
        _ database: Database
    ) throws -> [(position: Int64, vary: String?, held: Int64)] {
        try Row.fetchAll(
            database.cachedStatement(
                sql: """
                    SELECT position, target, vary, held FROM reply WHERE owner = ? AND target_hash = ?
                    ORDER BY position DESC
                    """
            ),
            arguments: [owner, Int64(bitPattern: StableHash.of(text: target))]
        ).compactMap { row in
            let found = try row.decode(String.self, forColumn: "target")
            guard found.utf8.elementsEqual(target.utf8) else { return nil }
            return (
                try row.decode(forColumn: "position"), try row.decode(forColumn: "vary"),
                try row.decode(forColumn: "held")
            )
        }
    }

    func owner(of partition: CachePartition, _ database: Database) throws -> Int64? {
        if let known = owners[partition] { return known }
        let (isShared, high, low) = partition.columns
        let statement = try database.cachedStatement(
            sql: "SELECT id FROM owner WHERE is_shared = ? AND high = ? AND low = ? AND is_forgotten = 0"
        )
        guard let id = try Int64.fetchOne(statement, arguments: [isShared, high, low]) else { return nil }
        remember(partition, id)
        return id
    }

    func newOwner(_ partition: CachePartition, _ database: Database) throws -> Int64 {
        let (isShared, high, low) = partition.columns
        try database.execute(
            sql: "INSERT INTO owner (is_shared, high, low, is_forgotten) VALUES (?, ?, ?, 0)",
            arguments: [isShared, high, low]
        )
        remember(partition, database.lastInsertedRowID)
        return database.lastInsertedRowID
    }

    /// A place in the order of owners and hashes.
    struct IndexPlace {
        fileprivate var owner = Int64.min
        fileprivate var targetHash = Int64.min
    }

    /// How many keys one step of the index reads.
    static let indexingRows = 4096

    /// The next keys for which there are replies, without a look at these, and where the rest begins.
    func keys(behind place: IndexPlace) throws -> (keys: [DiskKeyHash], next: IndexPlace?) {
        try queue.read { database in
            let rows = try Row.fetchAll(
                database.cachedStatement(
                    sql: """
                        SELECT DISTINCT owner, target_hash FROM reply INDEXED BY reply_by_target
                        WHERE (owner, target_hash) > (?, ?) ORDER BY owner, target_hash LIMIT \(Self.indexingRows)
                        """
                ),
                arguments: [place.owner, place.targetHash]
            )
            var (keys, place) = ([DiskKeyHash](), place)
            var (partition, partitionOwner) = (CachePartition?.none, Int64?.none)
            for row in rows {
                let owner = try row.decode(Int64.self, forColumn: "owner")
                if owner != partitionOwner { partition = try self.partition(of: owner, database) }
                partitionOwner = owner
                place.owner = owner
                place.targetHash = try row.decode(forColumn: "target_hash")
                guard let partition else { continue }
                keys.append(DiskKeyHash(partition, targetHash: UInt64(bitPattern: place.targetHash)))
            }
            return (keys, rows.count < Self.indexingRows ? nil : place)
        }
    }

    private func partition(of owner: Int64, _ database: Database) throws -> CachePartition? {
        let statement = try database.cachedStatement(sql: "SELECT is_shared, high, low FROM owner WHERE id = ?")
        guard let row = try Row.fetchOne(statement, arguments: [owner]) else { return nil }
        return CachePartition(
            isShared: try row.decode(forColumn: "is_shared"),
            high: try row.decode(forColumn: "high"),
            low: try row.decode(forColumn: "low")
        )
    }

    func forgetOwners() { owners.removeAll() }

    private func remember(_ partition: CachePartition, _ id: Int64) {
        if owners.count >= Self.maxOwners { owners.removeAll() }
        owners[partition] = id
    }
}
