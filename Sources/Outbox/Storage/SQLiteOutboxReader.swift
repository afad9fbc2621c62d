import DexatelAPI
import Dispatch
import Foundation
import GRDB
import NIOCore
import Synchronization

/// Reads the outbox over a read-only connection of its own.
final class SQLiteOutboxReader: OutboxReading {
    private struct Use {
        var isClosed = false
        var reads = 0
    }

    private let queue: DatabaseQueue
    /// SQLite must not be asked anything over a connection that is closed: it would use freed memory.
    ///
    /// The database is closed after a failed commit, while receipts and the status are still asked for.
    private let use = Mutex(Use())
    private let isIdle = DispatchSemaphore(value: 0)

    init(path: String) throws {
        var configuration = GRDB.Configuration()
        configuration.readonly = true
        configuration.label = "outbox-reader"
        configuration.prepareDatabase { database in
            try database.execute(sql: "PRAGMA query_only = ON; PRAGMA temp_store = MEMORY")
        }
        queue = try DatabaseQueue(path: path, configuration: configuration)
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

    private func read<Value: Sendable>(_ body: @Sendable (Database) throws -> Value) async throws -> Value {
        try use.withLock { use in
            guard !use.isClosed else { throw OutboxError(.storage, "the outbox is closed") }
            use.reads += 1
        }
        defer {
            let isLast = use.withLock { use in
                use.reads -= 1
                return use.isClosed && use.reads == 0
            }
            if isLast { isIdle.signal() }
        }
        return try await queue.read(body)
    }

    func pendingWrites(after sequence: Int64, limit: Int) async throws -> [PendingWrite] {
        try await read { database in
            let statement = try database.cachedStatement(
                sql: """
                    SELECT sequence, nonce, contact, api_key, method, stored_bytes, accepted_clock, attempts,
                        next_attempt_clock, is_held, is_ambiguous
                    FROM pending_write WHERE sequence > ? ORDER BY sequence LIMIT ?
                    """
            )
            return try Row.fetchAll(statement, arguments: [sequence, limit]).map { row in
                guard let contact = ContactReference(bytes: row["contact"] as Data),
                    let method = WriteMethod(rawValue: row["method"])
                else {
                    throw OutboxError(.damaged, "the pending write \(row["sequence"] as Int64) cannot be read")
                }
                return PendingWrite(
                    id: WriteID(sequence: row["sequence"], nonce: row["nonce"]),
                    contact: contact,
                    keyRow: row["api_key"],
                    method: method,
                    storedBytes: row["stored_bytes"],
                    acceptedClock: RelayTime(milliseconds: row["accepted_clock"]),
                    attempts: row["attempts"],
                    nextAttempt: (row["next_attempt_clock"] as Int64?).map(RelayTime.init),
                    isHeld: row["is_held"],
                    isAmbiguous: row["is_ambiguous"]
                )
            }
        }
    }

    func pendingWrites(
        to contacts: [ContactReference],
        keyRow: Int64,
        limit: Int
    ) async throws -> [PendingContactWrite] {
        try await read { database in
            let statement = try database.cachedStatement(
                sql: """
                    SELECT sequence, method, body FROM pending_write
                    WHERE contact = ? AND api_key = ? ORDER BY sequence DESC LIMIT ?
                    """
            )
            return try contacts.flatMap { contact in
                try Row.fetchAll(statement, arguments: [Data(contact.bytes), keyRow, limit]).reversed().map { row in
                    guard let method = WriteMethod(rawValue: row["method"]) else {
                        throw OutboxError(.damaged, "the pending write \(row["sequence"] as Int64) cannot be read")
                    }
                    return PendingContactWrite(
                        contact: contact,
                        sequence: row["sequence"],
                        method: method,
                        body: ByteBuffer(bytes: row["body"] as Data)
                    )
                }
            }
        }
    }

    func payload(of sequence: Int64) async throws -> WritePayload? {
        try await read { database in
            let statement = try database.cachedStatement(
                sql: "SELECT target, headers, body FROM pending_write WHERE sequence = ?"
            )
            guard let row = try Row.fetchOne(statement, arguments: [sequence]) else { return nil }
            return WritePayload(
                target: row["target"],
                headers: WritePayload.headers(fromText: row["headers"]),
                body: ByteBuffer(bytes: row["body"] as Data)
            )
        }
    }

    func oldestPendingAcceptedAt() async throws -> Int64? {
        try await read { database in
            try Int64.fetchOne(database, sql: "SELECT accepted_at FROM pending_write ORDER BY sequence LIMIT 1")
        }
    }

    func receipt(_ id: WriteID) async throws -> Receipt? {
        try await read { database in
            try Self.pendingReceipt(id, database) ?? Self.endedReceipt(id, database)
        }
    }

    private static func pendingReceipt(_ id: WriteID, _ database: Database) throws -> Receipt? {
        guard let row = try Row.fetchOne(database, sql: receiptQuery("pending_write"), arguments: [id.sequence]) else {
            return nil
        }
        guard var receipt = commonReceipt(id, row, state: row["is_held"] ? .held : .pending) else { return nil }
        if let next = row["next_attempt_clock"] as Int64?, let relay = row["clock_relay"] as Int64?,
            let wall = row["clock_wall"] as Int64?
        {
            receipt.nextAttemptAtMilliseconds = wall + (next - relay)
        }
        return receipt
    }

    private static func endedReceipt(_ id: WriteID, _ database: Database) throws -> Receipt? {
        guard let row = try Row.fetchOne(database, sql: receiptQuery("ended_write"), arguments: [id.sequence]),
            let state = WriteState(endedCode: row["state"]),
            var receipt = commonReceipt(id, row, state: state)
        else {
            return nil
        }
        receipt.responseStatus = row["response_status"]
        receipt.responseBody = (row["response_body"] as Data?).map(Array.init)
        if let successor = row["superseded_by"] as Int64? {
            let nonce = try Int64.fetchOne(
                database,
                sql: """
                    SELECT nonce FROM ended_write WHERE sequence = ?
                    UNION ALL SELECT nonce FROM pending_write WHERE sequence = ?
                    """,
                arguments: [successor, successor]
            )
            receipt.supersededBy = nonce.map { WriteID(sequence: successor, nonce: $0) }
        }
        return receipt
    }

    private static func receiptQuery(_ table: String) -> String {
        """
        SELECT w.*, k.fingerprint, b.clock_relay, b.clock_wall
        FROM \(table) w JOIN api_key k ON k.row = w.api_key LEFT JOIN books b WHERE w.sequence = ?
        """
    }

    private static func commonReceipt(_ id: WriteID, _ row: Row, state: WriteState) -> Receipt? {
        guard row["nonce"] == id.nonce, let contact = ContactReference(bytes: row["contact"] as Data),
            let method = WriteMethod(rawValue: row["method"])
        else {
            return nil
        }
        return Receipt(
            id: id,
            state: state,
            method: method,
            contact: contact,
            keyFingerprint: KeyFingerprint(row["fingerprint"] as Data),
            acceptedAtMilliseconds: row["accepted_at"],
            attempts: row["attempts"],
            lastError: row["last_error"],
            isAmbiguous: row["is_ambiguous"]
        )
    }
}
