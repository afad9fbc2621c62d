import DexatelAPI
import Foundation
import GRDB

/// Which lane is served next, as the database knows it.
///
/// A lane is a contact's pending writes that are not held, in the order of their sequence. Of those with the same key the
/// first is a head, and has a turn: it is found by `pending_write_ready`. A head that waits for an earlier one of another
/// key may lose its turn; `settleLanes` gives it back when that has gone.
extension SQLiteOutboxStorage {
    // MARK: - Turns

    static let head = """
        SELECT api_key, sequence, turn, outage FROM pending_write INDEXED BY pending_write_lane
        WHERE contact = ? AND hold = 0 AND api_key > ? ORDER BY api_key, sequence LIMIT 1
        """

    func heads(of contact: ContactReference) throws -> [LaneHead] {
        try connection().inDatabase { try Self.heads(of: contact, $0) }
    }

    private static func heads(of contact: ContactReference, _ database: Database) throws -> [LaneHead] {
        let statement = try database.cachedStatement(sql: head)
        let bytes = Data(contact.bytes)
        var heads: [LaneHead] = []
        // Along the keys: a key's writes are not walked.
        while let row = try Row.fetchOne(statement, arguments: [bytes, heads.last?.keyRow ?? Int64.min]) {
            heads.append(try laneHead(row, contact))
        }
        if heads.count > 1 { heads.sort { $0.sequence < $1.sequence } }
        return heads
    }

    private static func laneHead(_ row: Row, _ contact: ContactReference) throws -> LaneHead {
        LaneHead(
            contact: contact,
            keyRow: try row.value("api_key"),
            sequence: try row.value("sequence"),
            turn: LaneTurn(number: try row.value("turn")),
            endsWithOutage: try row.flag("outage")
        )
    }

    /// Gives the lanes that the transaction has touched their turns, behind all other changes.
    ///
    /// - Returns: The heads that may be sent.
    static func settleLanes(_ transaction: OutboxTransaction, _ database: Database) throws -> [LaneHead] {
        var found: [LaneHead] = []
        for (contact, touch) in transaction.lanes {
            let isStopped = transaction.stoppedContacts.contains(contact)
            var isBehind = false
            for head in try heads(of: contact, database) {
                let isServed = touch.served == head.keyRow
                var settled = head
                if isStopped || isServed && isBehind {
                    (settled.turn, settled.endsWithOutage) = (nil, false)
                } else if isServed {
                    (settled.turn, settled.endsWithOutage) = (touch.turn, touch.endsWithOutage)
                } else if !isBehind, head.turn == nil {
                    settled.turn = touch.turn
                }
                if settled != head {
                    try setTurn(settled, database)
                }
                if !isStopped, !isBehind { found.append(settled) }
                isBehind = isBehind || !transaction.heldRows.contains(head.keyRow)
            }
        }
        return found
    }

    private static func setTurn(_ head: LaneHead, _ database: Database) throws {
        try database.cachedStatement(sql: "UPDATE pending_write SET turn = ?, outage = ? WHERE sequence = ?")
            .execute(arguments: [head.turn?.number ?? LaneTurn.none, head.endsWithOutage ? 1 : 0, head.sequence])
    }

    /// A write takes its place before the head of its lane, which is no head then.
    static func dropLaterTurn(than write: PendingWrite, _ database: Database) throws {
        let statement = try database.cachedStatement(sql: head)
        guard
            let row = try Row.fetchOne(statement, arguments: [Data(write.contact.bytes), write.keyRow - 1]),
            try row.value("api_key", as: Int64.self) == write.keyRow
        else { return }
        var head = try laneHead(row, write.contact)
        guard head.sequence > write.sequence, head.turn != nil else { return }
        (head.turn, head.endsWithOutage) = (nil, false)
        try setTurn(head, database)
    }

    // MARK: - Claims

    static let ready = """
        SELECT \(columns), turn FROM pending_write INDEXED BY pending_write_ready
        WHERE api_key = ? AND turn > 0 AND turn <= ? ORDER BY turn
        """

    func claim(
        keyRow: Int64,
        due: LaneTurn?,
        _ take: (ContactReference, () throws -> StoredWrite) throws -> Bool
    ) throws -> Bool {
        try connection().inDatabase { database in
            let statement = try database.cachedStatement(sql: Self.ready)
            let rows = try Row.fetchCursor(statement, arguments: [keyRow, due?.number ?? Int64.max])
            while let row = try rows.next() {
                guard try take(try row.contact(), { try Self.pending(row) }) else { return false }
            }
            return true
        }
    }

    static let next = """
        SELECT turn FROM pending_write INDEXED BY pending_write_ready
        WHERE api_key = ? AND turn > 0 AND turn > ? ORDER BY turn LIMIT 1
        """

    func nextTurn(keyRow: Int64, after: LaneTurn?) throws -> LaneTurn? {
        try connection().inDatabase { database in
            let statement = try database.cachedStatement(sql: Self.next)
            return try Int64.fetchOne(statement, arguments: [keyRow, after?.number ?? 0]).flatMap(LaneTurn.init)
        }
    }

    /// Columns of a write without its payload.
    private static let placeColumns = """
        sequence, nonce, contact, api_key, method, stored_bytes, accepted_clock, attempts,
        next_attempt_clock, hold, replay, is_ambiguous, fields, other_fields, not_found_clock, attempt_log
        """

    static let behind = """
        SELECT \(placeColumns) FROM pending_write INDEXED BY pending_write_lane
        WHERE contact = ? AND hold = 0 AND api_key = ? AND sequence > ? AND sequence < ? ORDER BY sequence
        """

    func followers(of write: PendingWrite, before: Int64?, _ take: (PendingWrite) -> Bool) throws {
        try connection().inDatabase { database in
            let statement = try database.cachedStatement(sql: Self.behind)
            let rows = try Row.fetchCursor(
                statement,
                arguments: [Data(write.contact.bytes), write.keyRow, write.sequence, before ?? Int64.max]
            )
            while let row = try rows.next() {
                guard take(try PendingWrite(row)) else { return }
            }
        }
    }

    static let nextOfKey = """
        SELECT sequence FROM pending_write INDEXED BY pending_write_lane
        WHERE contact = ? AND hold = 0 AND api_key = ? AND sequence > ? ORDER BY sequence LIMIT 1
        """

    func nextSequence(_ contact: ContactReference, keyRow: Int64, after sequence: Int64) throws -> Int64? {
        try connection().inDatabase { database in
            let statement = try database.cachedStatement(sql: Self.nextOfKey)
            return try Int64.fetchOne(statement, arguments: [Data(contact.bytes), keyRow, sequence])
        }
    }

    // MARK: - Walks

    static let lanes = """
        SELECT contact, api_key, sequence, turn, outage FROM pending_write INDEXED BY pending_write_ready
        WHERE api_key = ? AND turn > 0 AND (turn, sequence) > (?, ?) ORDER BY turn, sequence LIMIT ?
        """

    func lanes(keyRow: Int64, after: (turn: Int64, sequence: Int64), limit: Int) throws -> [LaneHead] {
        try connection().inDatabase { database in
            let statement = try database.cachedStatement(sql: Self.lanes)
            return try Row.fetchAll(statement, arguments: [keyRow, after.turn, after.sequence, limit])
                .map { try Self.laneHead($0, try $0.contact()) }
        }
    }

    static let waitingForUpstream = """
        SELECT contact, api_key, sequence, turn, outage
        FROM pending_write INDEXED BY pending_write_waits_for_upstream
        WHERE outage <> 0 ORDER BY turn LIMIT ?
        """

    func lanesWaitingForUpstream(limit: Int) throws -> [LaneHead] {
        try connection().inDatabase { database in
            let rows = try Row.fetchAll(
                try database.cachedStatement(sql: Self.waitingForUpstream),
                arguments: [limit]
            )
            return try rows.map { try Self.laneHead($0, try $0.contact()) }
        }
    }

    static func contacts(isHeld: Bool) -> String {
        """
        SELECT contact, count(*) AS number, min(sequence) AS sequence FROM pending_write
        INDEXED BY \(isHeld ? "pending_write_held_by_contact" : "pending_write_lane")
        WHERE hold \(isHeld ? "<>" : "=") 0 AND contact > ? GROUP BY contact LIMIT ?
        """
    }

    func pendingContacts(
        after bytes: [UInt8],
        isHeld: Bool,
        limit: Int
    ) throws -> [(contact: ContactReference, count: Int)] {
        try connection().inDatabase { database in
            let statement = try database.cachedStatement(sql: Self.contacts(isHeld: isHeld))
            return try Row.fetchAll(statement, arguments: [Data(bytes), limit])
                .map { (try $0.contact(), try $0.value("number")) }
        }
    }

    /// Rows that one look for old writes steps over.
    private static let maxScannedRows = 1_024
    static let accepted = """
        SELECT \(placeColumns) FROM pending_write WHERE sequence > ? ORDER BY sequence LIMIT \(maxScannedRows)
        """

    func oldWrites(
        acceptedBefore: RelayTime,
        after sequence: Int64
    ) throws -> (writes: [PendingWrite], next: Int64?) {
        try connection().inDatabase { database in
            let rows = try Row.fetchCursor(try database.cachedStatement(sql: Self.accepted), arguments: [sequence])
            var (old, looked, last): ([PendingWrite], Int, Int64?) = ([], 0, nil)
            while let row = try rows.next() {
                let clock = RelayTime(milliseconds: try row.value("accepted_clock"))
                looked += 1
                last = try row.value("sequence")
                if clock < acceptedBefore {
                    old.append(try PendingWrite(row))
                } else if try row.value("replay", as: Int64.self) == WriteReplay.inOrder.rawValue {
                    // Whatever comes behind was accepted later, or has begun anew since.
                    return (old, nil)
                }
            }
            return (old, looked == Self.maxScannedRows ? last : nil)
        }
    }

    func laneCounts(of contact: ContactReference) throws -> [Int64: Int64] {
        try connection().inDatabase { database in
            let rows = try Row.fetchAll(
                database,
                sql: """
                    SELECT api_key, count(*) AS number FROM pending_write INDEXED BY pending_write_lane
                    WHERE contact = ? AND hold = 0 GROUP BY api_key
                    """,
                arguments: [Data(contact.bytes)]
            )
            return try Dictionary(
                rows.map { (try $0.value("api_key"), try $0.value("number")) },
                uniquingKeysWith: { first, _ in first }
            )
        }
    }
}
