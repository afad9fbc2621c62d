import GRDB

/// Making room: the replies that were stored or confirmed longest ago go first, but for those that are being read.
///
/// A reply that is in use is stored anew whenever it is confirmed, so the order in which replies were stored is close
/// to that of their use; one that stays fresh for long, and that memory knows to be read, is moved to the other end.
extension DiskStore {
    /// Takes away the oldest replies until so many bytes are free.
    func makeRoom(_ incoming: Int, _ isInUse: (CacheKey) -> Bool, _ database: Database) throws {
        guard try Self.usedBytes(database) + incoming > limits.databaseBytes else { return }
        let goal = max(0, limits.databaseBytes - limits.databaseBytes / 32 - incoming)
        while try Self.usedBytes(database) > goal {
            let rows = try Row.fetchAll(
                database.cachedStatement(
                    sql: """
                        SELECT position, target, is_shared, high, low, is_forgotten
                        FROM reply LEFT JOIN owner ON owner.id = reply.owner
                        ORDER BY position LIMIT \(Self.evictionBatch)
                        """
                )
            )
            guard !rows.isEmpty else { return }
            // Half of them at most, so that there is an end to it.
            var moves = rows.count / 2
            for row in rows {
                let position = try row.decode(Int64.self, forColumn: "position")
                let isForgotten = try row.decode(Bool?.self, forColumn: "is_forgotten")
                let key = isForgotten == false ? try Self.key(row) : nil
                if let key, moves > 0, isInUse(key) {
                    moves -= 1
                    try moveToFront(position, database)
                } else {
                    try evict(position, database)
                }
            }
        }
    }

    private static func key(_ row: Row) throws -> CacheKey {
        CacheKey(
            partition: CachePartition(
                isShared: try row.decode(forColumn: "is_shared"),
                high: try row.decode(forColumn: "high"),
                low: try row.decode(forColumn: "low")
            ),
            target: try row.decode(forColumn: "target")
        )
    }

    private func moveToFront(_ position: Int64, _ database: Database) throws {
        try database.cachedStatement(
            sql: "UPDATE reply SET position = (SELECT max(position) + 1 FROM reply) WHERE position = ?"
        ).execute(arguments: [position])
    }

    /// Clears away some of what is out of reach, and gives room that is not used back to the file system.
    ///
    /// - Returns: Whether there is more to do.
    func clear() throws -> Bool {
        let before = replies
        do {
            if try clearForgotten() { return true }
        } catch {
            replies = before
            throw error
        }
        return try queue.writeWithoutTransaction { database in
            if try Self.usedBytes(database) > limits.databaseBytes, replies > 0 {
                try evictOldest(database)
                return true
            }
            guard try mustShrink(database) else { return false }
            try database.execute(sql: "PRAGMA incremental_vacuum(\(Self.clearingPages))")
            if try mustShrink(database) { return true }
            // Only now does the file itself get shorter.
            try database.execute(sql: "PRAGMA wal_checkpoint(TRUNCATE)")
            return false
        }
    }

    private func mustShrink(_ database: Database) throws -> Bool {
        let pages = try Int.fetchOne(database.cachedStatement(sql: "PRAGMA page_count")) ?? 0
        let free = try Int.fetchOne(database.cachedStatement(sql: "PRAGMA freelist_count")) ?? 0
        return pages * Self.pageBytes > limits.databaseBytes && free > 0
    }

    /// What does not fit a smaller bound than that of the file's last run.
    private func evictOldest(_ database: Database) throws {
        let before = (replies, evicted)
        do {
            try database.inTransaction(.immediate) {
                let positions = try Int64.fetchAll(
                    database.cachedStatement(
                        sql: "SELECT position FROM reply ORDER BY position LIMIT \(Self.evictionBatch)"
                    )
                )
                for position in positions { try evict(position, database) }
                try database.execute(sql: "UPDATE state SET replies = ?", arguments: [replies])
                // The count was wrong, as a damaged file's can be: there is nothing to take away.
                if positions.isEmpty { replies = 0 }
                return .commit
            }
        } catch {
            (replies, evicted) = before
            throw error
        }
    }

    private func clearForgotten() throws -> Bool {
        var isMore = false
        try queue.inTransaction(.immediate) { database in
            let forgotten = try Int64.fetchOne(
                database.cachedStatement(sql: "SELECT id FROM owner WHERE is_forgotten = 1 LIMIT 1")
            )
            guard let forgotten else { return .rollback }
            isMore = true
            let positions = try Int64.fetchAll(
                database.cachedStatement(
                    sql: "SELECT position FROM reply WHERE owner = ? LIMIT \(Self.clearingRows)"
                ),
                arguments: [forgotten]
            )
            for position in positions { try delete(position, database) }
            if positions.count < Self.clearingRows {
                try database.execute(sql: "DELETE FROM owner WHERE id = ?", arguments: [forgotten])
            }
            try database.execute(sql: "UPDATE state SET replies = ?", arguments: [replies])
            return .commit
        }
        return isMore
    }

    /// What is in use of the file, and all of it.
    func size() throws -> (usedBytes: Int, fileBytes: Int) {
        try queue.read { database in
            let pages = try Int.fetchOne(database.cachedStatement(sql: "PRAGMA page_count")) ?? 0
            return (try Self.usedBytes(database), pages * Self.pageBytes)
        }
    }

    static func usedBytes(_ database: Database) throws -> Int {
        let statement = try database.cachedStatement(
            sql: "SELECT page_count - freelist_count FROM pragma_page_count, pragma_freelist_count"
        )
        return (try Int.fetchOne(statement) ?? 0) * pageBytes
    }
}
