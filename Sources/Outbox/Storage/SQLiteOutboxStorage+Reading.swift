import DexatelAPI
import Foundation
import GRDB
import NIOCore

/// What the commit thread reads over its own connection, to decide what to change.
extension SQLiteOutboxStorage {
    func hasReceipts(endedBefore: RelayTime) throws -> Bool {
        try connection().inDatabase { database in
            let statement = try database.cachedStatement(
                sql: """
                    SELECT 1 FROM ended_write INDEXED BY ended_write_by_clock
                    WHERE state <> 4 AND ended_clock < ? LIMIT 1
                    """
            )
            return try Int.fetchOne(statement, arguments: [endedBefore.milliseconds]) != nil
        }
    }

    // MARK: - Held writes

    static let columns = """
        sequence, nonce, contact, api_key, method, target, headers, body, stored_bytes, accepted_clock, attempts,
        next_attempt_clock, hold, replay, is_ambiguous, fields, other_fields, not_found_clock, attempt_log, checksum
        """

    static let heldByKey = """
        SELECT \(columns) FROM pending_write INDEXED BY pending_write_held_by_key
        WHERE api_key = ? AND hold = ? AND hold <> 0 ORDER BY sequence LIMIT ?
        """
    static let heldDue = """
        SELECT \(columns) FROM pending_write INDEXED BY pending_write_held_by_time
        WHERE hold = 2 AND hold <> 0 AND next_attempt_clock <= ? ORDER BY next_attempt_clock LIMIT ?
        """
    static let nextDue = """
        SELECT next_attempt_clock FROM pending_write INDEXED BY pending_write_held_by_time
        WHERE hold = 2 AND hold <> 0 ORDER BY next_attempt_clock LIMIT 1
        """

    func writes(_ selection: StoredSelection, limit: Int) throws -> [StoredWrite] {
        try connection().inDatabase { database in
            func fetch(_ sql: String, _ arguments: StatementArguments) throws -> [StoredWrite] {
                try Row.fetchAll(try database.cachedStatement(sql: sql), arguments: arguments).map(Self.pending)
            }
            switch selection {
            case .keys(let rows, let hold):
                var writes: [StoredWrite] = []
                for row in rows where writes.count < limit {
                    writes += try fetch(Self.heldByKey, [row, hold.rawValue, limit - writes.count])
                }
                return writes
            case .due(let now): return try fetch(Self.heldDue, [now.milliseconds, limit])
            }
        }
    }

    func write(_ sequence: Int64) throws -> StoredWrite? {
        try connection().inDatabase { database in
            let pending = try database.cachedStatement(
                sql: "SELECT \(Self.columns) FROM pending_write WHERE sequence = ?"
            )
            if let row = try Row.fetchOne(pending, arguments: [sequence]) { return try Self.pending(row) }
            let dead = try database.cachedStatement(sql: "SELECT * FROM ended_write WHERE sequence = ? AND state = 4")
            return try Row.fetchOne(dead, arguments: [sequence]).map(Self.dead)
        }
    }

    func nextHeldWriteDue() throws -> RelayTime? {
        try connection().inDatabase { database in
            try Row.fetchOne(try database.cachedStatement(sql: Self.nextDue))
                .map { RelayTime(milliseconds: try $0.value("next_attempt_clock")) }
        }
    }

    func order(of contact: ContactReference) throws -> ContactOrder? {
        try connection().inDatabase { try Self.order(of: contact, $0) }
    }

    static func pending(_ row: Row) throws -> StoredWrite {
        StoredWrite(write: try PendingWrite(row), payload: try WritePayload(verified: row), isDead: false)
    }

    static func dead(_ row: Row) throws -> StoredWrite {
        let payload = try WritePayload(verified: row)
        var write = try PendingWrite(
            id: WriteID(sequence: row.value("sequence"), nonce: row.value("nonce")),
            contact: row.contact(),
            keyRow: row.value("api_key"),
            method: row.method(),
            storedBytes: row.value("stored_bytes"),
            acceptedClock: RelayTime(milliseconds: row.value("ended_clock")),
            attempts: row.value("attempts"),
            replay: .underRule,
            isAmbiguous: row.flag("is_ambiguous"),
            fields: FieldSet(storedKnown: row.value("fields"), othersText: row.value("other_fields"))
        )
        write.log = AttemptLog(text: try row.value("attempt_log"))
        return try StoredWrite(
            write: write,
            payload: payload,
            isDead: true,
            status: row.value("response_status"),
            lastError: row.value("last_error")
        )
    }

    // MARK: - Idempotency keys

    static let byIdempotency = """
        SELECT sequence, nonce, idempotency_content FROM pending_write INDEXED BY pending_write_by_idempotency
        WHERE idempotency = ?1 AND idempotency IS NOT NULL
        UNION ALL
        SELECT sequence, nonce, idempotency_content FROM ended_write INDEXED BY ended_write_by_idempotency
        WHERE idempotency = ?1 AND idempotency IS NOT NULL
        """

    func write(idempotency: [UInt8]) throws -> (receipt: Receipt, content: [UInt8])? {
        try connection().inDatabase { database in
            let statement = try database.cachedStatement(sql: Self.byIdempotency)
            // The newest, as the one before it may have ended by what is not final.
            let rows = try Row.fetchAll(statement, arguments: [Data(idempotency)])
            let newest = try rows.max { try $0.value("sequence", as: Int64.self) < $1.value("sequence") }
            guard let row = newest,
                let receipt = try Receipt.read(
                    WriteID(sequence: row.value("sequence"), nonce: row.value("nonce")),
                    database
                )
            else { return nil }
            return (receipt, try row.value("idempotency_content", as: Data?.self).map(Array.init) ?? [])
        }
    }

    // MARK: - Keys

    func idleKeys(since: RelayTime, limit: Int) throws -> [Int64] {
        try connection().inDatabase { database in
            try Int64.fetchAll(
                database,
                sql: """
                    SELECT row FROM api_key WHERE idle_since < ? AND sealed IS NOT NULL
                        AND row NOT IN (SELECT successor FROM api_key WHERE successor IS NOT NULL)
                    ORDER BY idle_since LIMIT ?
                    """,
                arguments: [since.milliseconds, limit]
            )
        }
    }

    func idleUnverifiedKeys(limit: Int) throws -> [Int64] {
        try connection().inDatabase { database in
            try Int64.fetchAll(
                database,
                sql: """
                    SELECT row FROM api_key WHERE verified_at IS NULL AND idle_since IS NOT NULL AND successor IS NULL
                        AND row NOT IN (SELECT successor FROM api_key WHERE successor IS NOT NULL)
                    ORDER BY idle_since LIMIT ?
                    """,
                arguments: [limit]
            )
        }
    }

    func forgettableKeys(unverifiedSince: RelayTime, since: RelayTime, limit: Int) throws -> [Int64] {
        try connection().inDatabase { database in
            try Int64.fetchAll(
                database,
                sql: """
                    SELECT row FROM api_key
                    WHERE sealed IS NULL AND idle_since < iif(verified_at IS NULL, ?, ?)
                        AND row NOT IN (SELECT successor FROM api_key WHERE successor IS NOT NULL)
                    ORDER BY idle_since LIMIT ?
                    """,
                arguments: [unverifiedSince.milliseconds, since.milliseconds, limit]
            )
        }
    }

    func reseal(_ vault: StoredVault, _ keys: [OutboxTransaction.KeyRow]) throws {
        try connection().inTransaction(.immediate) { database in
            try database.execute(
                sql: """
                    INSERT INTO vault (one, fingerprint_key, master_key) VALUES (1, ?, ?) ON CONFLICT (one) DO UPDATE
                    SET fingerprint_key = excluded.fingerprint_key, master_key = excluded.master_key
                    """,
                arguments: [Data(vault.sealedFingerprintKey), Data(vault.masterKeyIdentifier)]
            )
            for key in keys {
                try database.execute(
                    sql: "UPDATE api_key SET sealed = ?, master_key = ? WHERE row = ?",
                    arguments: [key.sealed.map { Data($0) }, Data(key.masterKeyIdentifier), key.row]
                )
            }
            return .commit
        }
    }

    /// The receipts of a key that the upstream never took: it delivered nothing.
    static let purgeByKey = "DELETE FROM ended_write WHERE api_key = ? AND state <> 1 AND state <> 4"

    func forgetKeys(_ rows: [Int64]) throws -> Int64 {
        guard !rows.isEmpty else { return 0 }
        return try connection().writeWithoutTransaction { database in
            // For each row that goes SQLite would look through all writes for one that refers to it. None does: a key
            // is idle when nothing of it is pending or dead, and what it delivered is out of the receipts long before it.
            try database.execute(sql: "PRAGMA foreign_keys = OFF")
            defer { try? database.execute(sql: "PRAGMA foreign_keys = ON") }
            var purged: Int64 = 0
            try database.inTransaction {
                for row in rows {
                    try database.cachedStatement(sql: "DELETE FROM api_key WHERE row = ? AND pending = 0 AND dead = 0")
                        .execute(arguments: [row])
                    guard database.changesCount == 1 else { continue }
                    try database.cachedStatement(sql: Self.purgeByKey).execute(arguments: [row])
                    purged += Int64(database.changesCount)
                }
                if purged > 0 {
                    try database.execute(sql: "UPDATE books SET receipts = receipts - ?", arguments: [purged])
                }
                return .commit
            }
            return purged
        }
    }

    // MARK: - The log

    func emptyLog() throws -> Bool {
        try connection().writeWithoutTransaction { database in
            let row = try Row.fetchOne(database, sql: "PRAGMA wal_checkpoint(TRUNCATE)")
            return try row?.value("busy") == 0
        }
    }
}

extension PendingWrite {
    /// Reads a row of pending writes.
    init(_ row: Row) throws {
        guard let replay = WriteReplay(rawValue: try row.value("replay")) else { throw row.damage("replay") }
        try self.init(
            id: WriteID(sequence: row.value("sequence"), nonce: row.value("nonce")),
            contact: row.contact(),
            keyRow: row.value("api_key"),
            method: row.method(),
            storedBytes: row.value("stored_bytes"),
            acceptedClock: RelayTime(milliseconds: row.value("accepted_clock")),
            attempts: row.value("attempts"),
            nextAttempt: row.value("next_attempt_clock", as: Int64?.self).map(RelayTime.init),
            hold: row.hold(),
            replay: replay,
            isAmbiguous: row.flag("is_ambiguous"),
            fields: FieldSet(storedKnown: row.value("fields"), othersText: row.value("other_fields")),
            notFoundSince: row.value("not_found_clock", as: Int64?.self).map(RelayTime.init),
            log: AttemptLog(text: row.value("attempt_log"))
        )
    }
}

extension WritePayload {
    /// Reads target, headers and body of a row.
    init(_ row: Row) throws {
        try self.init(
            target: row.value("target"),
            headers: WritePayload.headers(fromText: row.value("headers")),
            body: ByteBuffer(bytes: row.value("body", as: Data.self))
        )
    }
}
