import DexatelAPI
import Foundation
import GRDB

/// What operators look at.
extension SQLiteOutboxReader {
    /// Rows of a table that one page looks at, so that no reader behind it waits long.
    private static let maxListedRows = 5_000

    // MARK: - Selections

    func page(
        _ selection: WriteSelection,
        after sequence: Int64,
        limit: Int,
        wallNow: Int64
    ) async throws -> StoredPage {
        try await read { database in
            let query = try SelectionQuery(selection, wallNow: wallNow, database)
            var entries: [WriteEntry] = []
            var bounds: [Int64] = []
            for table in query.tables {
                let (found, bound) = try Self.scan(table, query, after: sequence, limit: limit, database)
                entries += found
                if let bound { bounds.append(bound) }
            }
            entries.sort { $0.receipt.id.sequence < $1.receipt.id.sequence }
            // Behind the lowest bound there may be more of the other table.
            var next = bounds.min()
            if let next { entries.removeAll { $0.receipt.id.sequence > next } }
            if entries.count > limit {
                entries.removeLast(entries.count - limit)
                next = entries.last?.receipt.id.sequence
            }
            return StoredPage(entries: entries, next: next)
        }
    }

    /// The matches among the next rows of a table, and up to where it was looked at; nil for to its end.
    private static func scan(
        _ table: SelectionQuery.Table,
        _ query: SelectionQuery,
        after sequence: Int64,
        limit: Int,
        _ database: Database
    ) throws -> ([WriteEntry], Int64?) {
        let last = try Int64.fetchOne(
            database,
            sql: "SELECT sequence FROM \(table.source) AND w.sequence > ? ORDER BY w.sequence LIMIT 1 OFFSET ?",
            arguments: [sequence, maxListedRows - 1]
        )
        var arguments: StatementArguments = [sequence, last ?? Int64.max]
        arguments += query.arguments
        arguments += [limit + 1]
        let rows = try Row.fetchAll(
            database,
            sql: """
                SELECT w.*, \(Receipt.columns)
                FROM \(table.joined) AND w.sequence > ? AND w.sequence <= ?\(table.conditions)\(query.conditions)
                ORDER BY w.sequence LIMIT ?
                """,
            arguments: arguments
        )
        let entries = try rows.map { row in
            try WriteEntry(
                receipt: Receipt(row, isEnded: table.isEnded, database),
                storedBytes: row.value("stored_bytes")
            )
        }
        guard rows.count > limit else { return (entries, last) }
        return (Array(entries.prefix(limit)), try rows[limit - 1].value("sequence"))
    }

    func details(_ sequence: Int64) async throws -> WriteDetails? {
        try await read { database in
            for (table, isEnded) in [("pending_write", false), ("ended_write", true)] {
                let row = try Row.fetchOne(
                    database,
                    sql: """
                        SELECT w.*, \(Receipt.columns)
                        FROM \(table) w JOIN api_key k ON k.row = w.api_key LEFT JOIN books b WHERE w.sequence = ?
                        """,
                    arguments: [sequence]
                )
                guard let row else { continue }
                let receipt = try Receipt(row, isEnded: isEnded, database)
                return try WriteDetails(
                    entry: WriteEntry(receipt: receipt, storedBytes: row.value("stored_bytes")),
                    payload: row.has("target") ? WritePayload(row) : nil,
                    fieldNames: FieldSet(storedKnown: row.value("fields"), othersText: row.value("other_fields"))?.names
                )
            }
            return nil
        }
    }

    // MARK: - Damage

    func look(after sequence: Int64) async throws -> Int64? {
        try await read { try SQLiteOutboxStorage.look(after: sequence, $0) }
    }

    func damagedWrites(after sequence: Int64, limit: Int) async throws -> [DamagedWriteReport] {
        try await read { database in
            let rows = try Row.fetchAll(
                database,
                sql: "SELECT * FROM damaged_write WHERE sequence > ? ORDER BY sequence LIMIT ?",
                arguments: [sequence, limit]
            )
            return try rows.map { row in
                try DamagedWriteReport(
                    sequence: row.value("sequence"),
                    place: row.value("place"),
                    foundAtMilliseconds: row.value("found_at"),
                    reason: row.value("reason"),
                    content: row.value("content")
                )
            }
        }
    }

    // MARK: - Exports

    func exports(_ sequences: [Int64]) async throws -> [ExportedWrite] {
        try await read { database in
            try sequences.compactMap { sequence in
                for (table, isEnded) in [("pending_write", false), ("ended_write", true)] {
                    let statement = try database.cachedStatement(
                        sql: """
                            SELECT w.*, \(Receipt.columns), k.sealed, k.master_key
                            FROM \(table) w JOIN api_key own ON own.row = w.api_key
                                JOIN api_key k ON k.row = coalesce(own.successor, own.row) LEFT JOIN books b
                            WHERE w.sequence = ? AND w.target IS NOT NULL
                            """
                    )
                    guard let row = try Row.fetchOne(statement, arguments: [sequence]) else { continue }
                    return try Self.export(row, Receipt(row, isEnded: isEnded, database))
                }
                return nil
            }
        }
    }

    private static func export(_ row: Row, _ receipt: Receipt) throws -> ExportedWrite {
        let payload = try WritePayload(verified: row)
        return try ExportedWrite(
            version: ExportedWrite.currentVersion,
            id: receipt.id.description,
            state: receipt.state.rawValue,
            method: receipt.method.name,
            audience: receipt.contact.audienceText,
            contact: receipt.contact.contactText,
            target: payload.target,
            headers: payload.headers.map { [$0.name, $0.value] },
            body: row.value("body"),
            acceptedAtMilliseconds: receipt.acceptedAtMilliseconds,
            keyFingerprint: row.value("fingerprint"),
            sealedKey: row.value("sealed"),
            masterKey: row.value("master_key")
        )
    }

    // MARK: - Keys

    func keySummaries() async throws -> [KeySummary] {
        try await read { database in
            let rows = try Row.fetchAll(
                database,
                sql: """
                    SELECT k.*, s.fingerprint AS heir
                    FROM api_key k LEFT JOIN api_key s ON s.row = k.successor ORDER BY k.row
                    """
            )
            return try rows.map { row in
                try KeySummary(
                    fingerprint: row.fingerprint().hexadecimal,
                    createdAtMilliseconds: row.value("created_at"),
                    verifiedAtMilliseconds: row.value("verified_at"),
                    refusedAtMilliseconds: row.value("refused_at"),
                    successor: row.has("heir") ? row.fingerprint("heir").hexadecimal : nil,
                    isSealed: row.has("sealed"),
                    pending: row.value("pending"),
                    held: row.has("held_at") ? row.value("pending", as: Int.self) &- row.value("held") : 0,
                    dead: row.value("dead")
                )
            }
        }
    }

    func contact(ofKeys rows: [Int64]) async throws -> ContactReference? {
        let list = rows.map(String.init).joined(separator: ", ")
        return try await read { database in
            for sql in [
                """
                SELECT contact FROM pending_write INDEXED BY pending_write_ready
                WHERE api_key IN (\(list)) AND turn > 0 LIMIT 1
                """,
                """
                SELECT contact FROM pending_write INDEXED BY pending_write_held_by_key
                WHERE api_key IN (\(list)) AND hold <> 0 LIMIT 1
                """,
                """
                SELECT contact FROM ended_write INDEXED BY ended_write_dead
                WHERE state = 4 AND api_key IN (\(list)) LIMIT 1
                """,
            ] {
                if let bytes = try Data.fetchOne(database, sql: sql) { return ContactReference(bytes: bytes) }
            }
            return nil
        }
    }

    func stoppedContacts() async throws -> [StoppedContact] {
        try await read { database in
            let sql = "SELECT contact, stopped_at FROM stopped_contact ORDER BY stopped_at"
            return try Row.fetchAll(database, sql: sql).map { row in
                try StoppedContact(contact: row.contact(), stoppedAtMilliseconds: row.value("stopped_at"))
            }
        }
    }

    // MARK: - Deaths

    static let untoldNew = """
        SELECT w.*, k.fingerprint FROM ended_write w INDEXED BY ended_write_untold JOIN api_key k ON k.row = w.api_key
        WHERE w.state = 4 AND w.told_at IS NULL AND w.tell_clock IS NULL ORDER BY w.sequence LIMIT ?
        """
    static let untoldDue = """
        SELECT w.*, k.fingerprint FROM ended_write w INDEXED BY ended_write_untold JOIN api_key k ON k.row = w.api_key
        WHERE w.state = 4 AND w.told_at IS NULL AND w.tell_clock <= ? ORDER BY w.tell_clock, w.sequence LIMIT ?
        """

    func untoldDeadWrites(now: RelayTime, limit: Int) async throws -> [DeadWrite] {
        try await read { database in
            // Those that have failed before come after those that never had their turn.
            var rows = try Row.fetchAll(database, sql: Self.untoldNew, arguments: [limit])
            rows += try Row.fetchAll(
                database,
                sql: Self.untoldDue,
                arguments: [now.milliseconds, limit - rows.count]
            )
            return try rows.map { row in
                try DeadWrite(
                    id: WriteID(sequence: row.value("sequence"), nonce: row.value("nonce")),
                    contact: row.contact(),
                    keyFingerprint: row.fingerprint().description,
                    method: row.method(),
                    reason: row.value("last_error", as: String?.self) ?? "unknown",
                    status: row.value("response_status"),
                    body: row.value("response_body", as: Data?.self).map(Array.init),
                    attempts: row.value("attempts"),
                    isAmbiguous: row.flag("is_ambiguous"),
                    acceptedAtMilliseconds: row.value("accepted_at"),
                    endedAtMilliseconds: row.value("ended_at"),
                    tellAttempts: row.value("tell_attempts")
                )
            }
        }
    }

    static let untold = """
        SELECT count(*) FROM ended_write INDEXED BY ended_write_untold WHERE state = 4 AND told_at IS NULL
        """

    func untoldCount() async throws -> Int {
        try await read { try Int.fetchOne($0, sql: Self.untold) ?? 0 }
    }

    func check() async throws -> [String] {
        let path = path
        do {
            return try await read { database in
                guard try OutboxSchema.isCurrentOrNewer(database, path: path) else {
                    throw OutboxError(
                        .storage,
                        "\(path) is of an earlier release; this one can check it once it has been started with it"
                    )
                }
                return try SQLiteOutboxStorage.findings(database)
            }
        } catch let error as DatabaseError where [.SQLITE_CORRUPT, .SQLITE_NOTADB].contains(error.resultCode) {
            return ["\(path) is damaged: \(error.message ?? "SQLite cannot read it")"]
        }
    }
}
