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

    let path: String
    private let queue: DatabaseQueue
    /// SQLite must not be asked anything over a connection that is closed: it would use freed memory.
    ///
    /// The database is closed after a failed commit, while receipts and the status are still asked for.
    private let use = Mutex(Use())
    private let isIdle = DispatchSemaphore(value: 0)

    init(path: String) throws {
        self.path = path
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

    func read<Value: Sendable>(_ body: @Sendable (Database) throws -> Value) async throws -> Value {
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

    /// Rows that one read of the backlog looks at: those that are held are stepped over, once for each start.
    static let maxScannedRows = 8_192

    private static let columns = """
        sequence, nonce, contact, api_key, method, stored_bytes, accepted_clock, attempts,
        next_attempt_clock, hold, replay, is_ambiguous, fields, other_fields, not_found_clock, attempt_log
        """
    private static let bounded = """
        FROM (SELECT * FROM pending_write WHERE sequence > ? ORDER BY sequence LIMIT \(maxScannedRows)) AS part
        WHERE hold = 0
        """
    private static let order = """
        (
            SELECT sequence FROM pending_write AS other INDEXED BY pending_write_by_contact
            WHERE other.contact = part.contact AND other.sequence < part.sequence AND other.hold = 0
            ORDER BY sequence DESC LIMIT 1
        ) AS predecessor, EXISTS (
            SELECT 1 FROM pending_write AS other INDEXED BY pending_write_by_contact
            WHERE other.contact = part.contact AND other.sequence > part.sequence AND other.hold = 0
        ) AS has_successor
        """
    private static let payload = "target, headers, body"
    static let refill = "SELECT \(columns), \(payload) \(bounded) LIMIT ?"
    static let refillInOrder = "SELECT \(columns), \(payload), \(order) \(bounded) LIMIT ?"
    static let refillBound = """
        SELECT sequence FROM pending_write WHERE sequence > ? ORDER BY sequence
        LIMIT 1 OFFSET \(maxScannedRows - 1)
        """
    static let refillLane = """
        SELECT \(columns) FROM pending_write INDEXED BY pending_write_by_contact
        WHERE contact = ? AND sequence > ? AND hold = 0 ORDER BY sequence LIMIT ?
        """

    static func refill(ofKeys count: Int) -> String {
        let keys = repeatElement("?", count: count).joined(separator: ", ")
        return "SELECT \(columns), \(payload), \(order) \(bounded) AND api_key IN (\(keys)) LIMIT ?"
    }

    func pendingWrites(_ rows: PendingRows) async throws -> PendingPart {
        try await read { database in
            let isOrdered = rows.needsOrder || rows.keyRows != nil
            let sql =
                rows.keyRows.map { Self.refill(ofKeys: $0.count) } ?? (isOrdered ? Self.refillInOrder : Self.refill)
            let statement = try database.cachedStatement(sql: sql)
            var part = PendingPart(writes: [])
            var payloadBytes = 0
            let arguments = [rows.after] + (rows.keyRows ?? []) + [Int64(rows.limit)]
            // A row at a time: thousands of rows at once would be the peak of the process' memory.
            let found = try Row.fetchCursor(statement, arguments: StatementArguments(arguments))
            while let row = try found.next() {
                let write = try PendingWrite(row)
                part.writes.append(write)
                // One that is damaged is found when it is to be sent.
                if payloadBytes + write.storedBytes <= rows.maxPayloadBytes, let payload = try? WritePayload(row) {
                    payloadBytes += write.storedBytes
                    part.payloads[write.sequence] = payload
                }
                guard isOrdered else { continue }
                part.order[write.sequence] = PendingPart.Order(
                    predecessor: try row.value("predecessor", as: Int64?.self).map { .write($0) } ?? .first,
                    hasSuccessor: try row.value("has_successor")
                )
            }
            if part.writes.count == rows.limit, let last = part.writes.last {
                part.upTo = last.sequence
                return part
            }
            let bound = try database.cachedStatement(sql: Self.refillBound)
            part.upTo = try Int64.fetchOne(bound, arguments: [rows.after])
            return part
        }
    }

    func pendingWrites(
        of contact: ContactReference,
        after sequence: Int64,
        limit: Int
    ) async throws -> [PendingWrite] {
        try await read { database in
            let statement = try database.cachedStatement(sql: Self.refillLane)
            let rows = try Row.fetchAll(statement, arguments: [Data(contact.bytes), sequence, limit])
            return try rows.map { try PendingWrite($0) }
        }
    }

    func pendingWrites(
        to contacts: [ContactReference],
        keyRow: Int64,
        semantics: PutSemantics,
        limit: Int
    ) async throws -> [PendingContactWrite] {
        try await read { database in
            let statement = try database.cachedStatement(
                sql: """
                    SELECT sequence, method, replay, target, headers, body FROM pending_write
                    WHERE contact = ? AND api_key = ? ORDER BY sequence DESC LIMIT ?
                    """
            )
            return try contacts.flatMap { contact in
                try Row.fetchAll(statement, arguments: [Data(contact.bytes), keyRow, limit]).reversed()
                    .compactMap { try Self.stillToBeSent($0, contact, semantics, database) }
            }
        }
    }

    /// What a pending write would send if it were let go now; nil when later deliveries have left nothing of it.
    private static func stillToBeSent(
        _ row: Row,
        _ contact: ContactReference,
        _ semantics: PutSemantics,
        _ database: Database
    ) throws -> PendingContactWrite? {
        let (sequence, method) = (try row.value("sequence", as: Int64.self), try row.method())
        let write = { PendingContactWrite(contact: contact, sequence: sequence, method: method, body: $0) }
        guard try row.value("replay", as: Int64.self) == WriteReplay.underRule.rawValue else {
            return write(ByteBuffer(bytes: try row.value("body", as: Data.self)))
        }
        let payload = try WritePayload(row)
        let rule = ReplayRule.judge(
            sequence: sequence,
            method: method,
            payload: payload,
            order: try SQLiteOutboxStorage.order(of: contact, database),
            semantics: semantics,
            isForced: false
        )
        return switch rule {
        case .asItIs: write(payload.body)
        case .without(let rewritten, _): write(rewritten.body)
        case .nothingLeft, .overtaken: nil
        }
    }

    func payloads(of sequences: [Int64]) async throws -> [Int64: WritePayload] {
        try await read { database in
            let statement = try database.cachedStatement(
                sql: "SELECT target, headers, body FROM pending_write WHERE sequence = ?"
            )
            var payloads: [Int64: WritePayload] = [:]
            for sequence in sequences {
                payloads[sequence] = try Row.fetchOne(statement, arguments: [sequence]).map(WritePayload.init)
            }
            return payloads
        }
    }

    func oldestPendingAcceptedClock() async throws -> RelayTime? {
        try await read { database in
            try Int64.fetchOne(database, sql: "SELECT accepted_clock FROM pending_write ORDER BY sequence LIMIT 1")
                .map(RelayTime.init)
        }
    }

    func receipt(_ id: WriteID) async throws -> Receipt? {
        try await read { try Receipt.read(id, $0) }
    }
}
