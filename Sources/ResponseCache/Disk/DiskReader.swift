import Dispatch
import GRDB
import Synchronization

/// Reads `cache.sqlite` over a connection of its own that changes nothing.
final class DiskReader: Sendable {
    /// A row, and whether it is still as it was written.
    typealias Found = (reply: DiskReply, isIntact: Bool)

    /// How many rows one look-up reads at most, whatever their hashes.
    static let maxRowsPerTarget = 64

    private struct Use {
        var isClosed = false
        var reads = 0
    }

    private let queue: DatabaseQueue
    /// SQLite must not be asked anything over a connection that is closed.
    private let use = Mutex(Use())
    private let isIdle = DispatchSemaphore(value: 0)

    init(path: String) throws {
        var configuration = GRDB.Configuration()
        configuration.readonly = true
        configuration.label = "cache-reader"
        configuration.prepareDatabase { database in
            try database.execute(
                sql: "PRAGMA query_only = ON; PRAGMA temp_store = MEMORY; PRAGMA cache_size = -2048"
            )
        }
        queue = try DatabaseQueue(path: path, configuration: configuration)
    }

    /// Whether an error says something of the file or the disk, and not of this one look-up.
    static func isFailure(_ error: any Error) -> Bool {
        guard let error = error as? DatabaseError else { return DiskCacheFile.isDamage(error) }
        switch error.resultCode {
        case .SQLITE_INTERRUPT, .SQLITE_ABORT, .SQLITE_BUSY, .SQLITE_LOCKED, .SQLITE_NOMEM: return false
        default: return true
        }
    }

    /// Lets nothing begin any more, waits for what is being read, and closes.
    func close() {
        let isRead = use.withLock { use in
            defer { use.isClosed = true }
            return !use.isClosed && use.reads > 0
        }
        if isRead { isIdle.wait() }
        try? queue.close()
    }

    /// The replies that are stored for a key, newest first; nil if the file is closed.
    func replies(to key: CacheKey) async throws -> [Found]? {
        let mayRead = use.withLock { use in
            if !use.isClosed { use.reads += 1 }
            return !use.isClosed
        }
        guard mayRead else { return nil }
        defer {
            let isLast = use.withLock { use in
                use.reads -= 1
                return use.isClosed && use.reads == 0
            }
            if isLast { isIdle.signal() }
        }
        return try await queue.read { try Self.replies(to: key, $0) }
    }

    private static func replies(to key: CacheKey, _ database: Database) throws -> [Found] {
        let (isShared, high, low) = key.partition.columns
        let statement = try database.cachedStatement(
            sql: """
                SELECT target, vary, sequence, requested, held, born, lifetime, stale_while_revalidate,
                    stale_if_error, stale_if_disconnected, flags, status, date, fields, body, checksum
                FROM owner JOIN reply ON reply.owner = owner.id AND reply.target_hash = ?
                WHERE owner.is_shared = ? AND owner.high = ? AND owner.low = ? AND owner.is_forgotten = 0
                ORDER BY position DESC LIMIT \(maxRowsPerTarget)
                """
        )
        let hash = Int64(bitPattern: StableHash.of(text: key.target))
        return try Row.fetchAll(statement, arguments: [hash, isShared, high, low]).compactMap { row in
            let reply = try DiskReply(row)
            // Another target may have the same hash.
            guard reply.target.utf8.elementsEqual(key.target.utf8) else { return nil }
            return (reply, reply.checksum(key.partition) == (try row.decode(Int64.self, forColumn: "checksum")))
        }
    }
}
