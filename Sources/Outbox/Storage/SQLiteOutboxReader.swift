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

    func hasPending(_ contact: ContactReference) async throws -> Bool {
        try await read { database in
            for index in ["pending_write_lane WHERE hold = 0", "pending_write_held_by_contact WHERE hold <> 0"] {
                let statement = try database.cachedStatement(
                    sql: "SELECT 1 FROM pending_write INDEXED BY \(index) AND contact = ? LIMIT 1"
                )
                if try Int.fetchOne(statement, arguments: [Data(contact.bytes)]) != nil { return true }
            }
            return false
        }
    }

    func pendingWrites(
        to contacts: [ContactReference],
        keyRows: [Int64],
        semantics: PutSemantics,
        limit: Int,
        maxBytes: Int
    ) async throws -> PendingContactWrites {
        try await read { database in
            let keys = keyRows.map(String.init).joined(separator: ", ")
            let columns = "sequence, method, replay, fields, other_fields, stored_bytes"
            let statement = try database.cachedStatement(
                sql: """
                    SELECT \(columns) FROM pending_write INDEXED BY pending_write_lane
                    WHERE contact = ?1 AND hold = 0 AND api_key IN (\(keys))
                    UNION ALL
                    SELECT \(columns) FROM pending_write INDEXED BY pending_write_held_by_contact
                    WHERE contact = ?1 AND hold <> 0 AND api_key IN (\(keys))
                    ORDER BY sequence DESC LIMIT ?2
                    """
            )
            var found = PendingContactWrites()
            var bytes = 0
            for contact in contacts {
                let rows = try Row.fetchAll(statement, arguments: [Data(contact.bytes), limit])
                var folding = OverlayFolding()
                var writes: [PendingContactWrite] = []
                // The newest first, so that a body is read only if something of it is still to be seen.
                for row in rows {
                    if let write = try Self.folded(row, contact, &folding, semantics, bytes < maxBytes, database) {
                        writes.append(write)
                        bytes += write.body?.readableBytes ?? 0
                    }
                }
                found.writes += writes.reversed()
                found.isComplete = found.isComplete && !folding.isCut
            }
            return found
        }
    }

    private static func folded(
        _ row: Row,
        _ contact: ContactReference,
        _ folding: inout OverlayFolding,
        _ semantics: PutSemantics,
        _ hasRoom: Bool,
        _ database: Database
    ) throws -> PendingContactWrite? {
        let (sequence, method) = (try row.value("sequence", as: Int64.self), try row.method())
        let isUnderRule = try row.value("replay", as: Int64.self) == WriteReplay.underRule.rawValue
        let fields = try FieldSet(storedKnown: row.value("fields"), othersText: row.value("other_fields"))
        // What was out of order may not be sent at all: it covers nothing.
        let isNeeded = isUnderRule || folding.needs(method, fields)
        guard hasRoom, isUnderRule || isNeeded && method == .put else {
            if isUnderRule || isNeeded && method == .put {
                folding.isCut = true
                if isUnderRule { return nil }
            }
            let body = method == .delete ? ByteBuffer() : nil
            return PendingContactWrite(contact: contact, sequence: sequence, method: method, body: body)
        }
        let statement = try database.cachedStatement(
            sql: "SELECT sequence, method, replay, target, headers, body FROM pending_write WHERE sequence = ?"
        )
        return try Row.fetchOne(statement, arguments: [sequence]).flatMap {
            try stillToBeSent($0, contact, semantics, database)
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

/// Which pending writes of a contact a reply has to look into, from the newest back: those that set something that no later
/// one sets.
struct OverlayFolding {
    private var seen = FieldSet.empty
    /// A DELETE has been met: nothing before it shows.
    private var isDeleted = false
    /// Something that shows was left out.
    var isCut = false

    /// - Parameter fields: What the write sets; nil when nobody can say.
    mutating func needs(_ method: WriteMethod, _ fields: FieldSet?) -> Bool {
        guard !isDeleted else { return false }
        if method == .delete {
            isDeleted = true
            return true
        }
        guard let fields else { return true }
        if seen.isSuperset(of: fields) { return false }
        if let both = seen.union(fields) { seen = both }
        return true
    }
}
