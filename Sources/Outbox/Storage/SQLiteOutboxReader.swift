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

    static let refill = """
        SELECT sequence, nonce, contact, api_key, method, stored_bytes, accepted_clock, attempts,
            next_attempt_clock, hold, replay, is_ambiguous, fields, other_fields, not_found_clock, attempt_log
        FROM (SELECT * FROM pending_write WHERE sequence > ? ORDER BY sequence LIMIT \(maxScannedRows))
        WHERE hold = 0 LIMIT ?
        """
    static let refillBound = """
        SELECT sequence FROM pending_write WHERE sequence > ? ORDER BY sequence
        LIMIT 1 OFFSET \(maxScannedRows - 1)
        """

    func pendingWrites(after sequence: Int64, limit: Int) async throws -> PendingPart {
        try await read { database in
            let statement = try database.cachedStatement(sql: Self.refill)
            var writes: [PendingWrite] = []
            // A row at a time: thousands of rows at once would be the peak of the process' memory.
            let rows = try Row.fetchCursor(statement, arguments: [sequence, limit])
            while let row = try rows.next() { writes.append(try PendingWrite(row)) }
            if writes.count == limit, let last = writes.last { return PendingPart(writes: writes, upTo: last.sequence) }
            let bound = try database.cachedStatement(sql: Self.refillBound)
            return PendingPart(writes: writes, upTo: try Int64.fetchOne(bound, arguments: [sequence]))
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

    func payload(of sequence: Int64) async throws -> WritePayload? {
        try await read { database in
            let statement = try database.cachedStatement(
                sql: "SELECT target, headers, body FROM pending_write WHERE sequence = ?"
            )
            return try Row.fetchOne(statement, arguments: [sequence]).map(WritePayload.init)
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
