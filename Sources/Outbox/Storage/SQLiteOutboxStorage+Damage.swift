import DexatelAPI
import Foundation
import GRDB

/// Sets aside rows that cannot be read, so that everything else goes on.
///
/// A row goes to `damaged_write` as it was found. What can be counted again is counted again: sums, turns, and contacts with writes
/// out of order. What is behind it in its lane goes on, as behind a dead write.
extension SQLiteOutboxStorage {
    /// Looks at every write, and moves those that are damaged, in the open transaction.
    ///
    /// - Parameter progress: Called now and then.
    static func setAside(_ database: Database) throws -> [DamagedWrite] {
        let keys = Set(try Int64.fetchAll(database, sql: "SELECT row FROM api_key"))
        var found: [DamagedWrite] = []
        for place in DamagedWrite.Place.allCases {
            var sequences: [(Int64, String)] = []
            let rows = try Row.fetchCursor(database, sql: place.rows)
            while let row = try rows.next() {
                if let reason = damage(row, place, keys) { sequences.append((row["sequence"], reason)) }
            }
            for (sequence, reason) in sequences {
                let write = DamagedWrite(sequence: sequence, place: place, reason: reason)
                try move(write, database)
                found.append(write)
            }
        }
        try mendOrders(database)
        for sql in mends { try database.execute(sql: sql) }
        return found
    }

    /// What is wrong with a row; nil when it can be read.
    static func damage(_ row: Row, _ place: DamagedWrite.Place, _ keys: Set<Int64>) -> String? {
        do {
            try row.checkNumbers()
            try row.checkTexts()
            guard keys.contains(try row.value("api_key")) else { throw row.damage("api_key") }
            switch place {
            case .pending:
                _ = try pending(row)
                _ = (try row.flag("outage"), try row.value("accepted_at", as: Int64.self))
            case .dead: _ = (try dead(row), try row.value("ended_at", as: Int64.self))
            case .receipt:
                guard WriteState(endedCode: try row.value("state")) != nil else { throw row.damage("state") }
                _ = (try row.contact(), try row.method(), try row.value("nonce", as: Int64.self))
                _ = (try row.value("accepted_at", as: Int64.self), try row.value("ended_at", as: Int64.self))
                _ = (try row.value("attempts", as: Int64.self), try row.flag("is_ambiguous"))
            }
            return nil
        } catch let error as OutboxError {
            return String(error.message.prefix { $0 != "." })
        } catch {
            return "it cannot be read: \(error)"
        }
    }

    // MARK: - Moving

    private static func move(_ write: DamagedWrite, _ database: Database) throws {
        let table = write.place == .pending ? "pending_write" : "ended_write"
        let columns = try database.columns(in: table).map(\.name)
        let parts = columns.map { "typeof(\($0)), CAST(\($0) AS BLOB)" }.joined(separator: ", ")
        guard
            let row = try Row.fetchOne(
                database,
                sql: "SELECT \(parts) FROM \(table) WHERE sequence = ?",
                arguments: [write.sequence]
            )
        else { throw OutboxError(.damaged, "the write \(write.sequence) is not where it was found") }
        var raw: [String: DamagedWrite.RawValue] = [:]
        for (index, column) in columns.enumerated() {
            raw[column] = DamagedWrite.RawValue(type: row[index * 2], bytes: row[index * 2 + 1] as Data?)
        }
        let encoder = JSONEncoder()
        encoder.outputFormatting = .sortedKeys
        try database.execute(
            sql: """
                INSERT INTO damaged_write (sequence, place, found_at, reason, content)
                VALUES ((SELECT iif(count(*), NULL, ?1) FROM damaged_write WHERE sequence = ?1), ?2, ?3, ?4, ?5)
                """,
            arguments: [
                write.sequence, write.place.rawValue, RelayClock.wallMilliseconds(), write.reason,
                String(decoding: try encoder.encode(raw), as: UTF8.self),
            ]
        )
        try database.execute(sql: "DELETE FROM \(table) WHERE sequence = ?", arguments: [write.sequence])
        guard let change = write.place.booksChange else { return }
        try database.execute(sql: "UPDATE books SET \(change), damaged = damaged + 1")
    }

    // MARK: - Counting again

    /// Where nobody can say what was delivered, everything may have been.
    private static func mendOrders(_ database: Database) throws {
        for row in try Row.fetchAll(database, sql: "SELECT * FROM contact_order") {
            let order = try? ContactOrder(
                last: row.value("last"),
                whole: row.value("whole"),
                fieldsText: row.value("fields")
            )
            guard order == nil else { continue }
            try database.execute(
                sql: """
                    UPDATE contact_order SET last = books.next_sequence - 1, whole = books.next_sequence - 1, fields = '{}'
                    FROM books WHERE contact = ?
                    """,
                arguments: [row["contact"] as DatabaseValue]
            )
        }
    }

    private static let outOfOrder = """
        SELECT contact FROM pending_write WHERE replay <> 0 UNION ALL SELECT contact FROM ended_write WHERE state = 4
        """

    /// Counts again what follows from the rows, and gives turns anew that would never come.
    private static let mends: [String] = [
        "DELETE FROM contact_order WHERE contact NOT IN (\(outOfOrder))",
        """
        INSERT INTO contact_order (contact, entries) SELECT contact, count(*) FROM (\(outOfOrder)) WHERE TRUE GROUP BY contact
        ON CONFLICT (contact) DO UPDATE SET entries = excluded.entries
        """,
        """
        UPDATE pending_write SET turn = \(LaneTurn.none), outage = 0
        WHERE turn <> \(LaneTurn.none) AND (turn <= 0 OR \(RowCounts.isHeld)
            OR turn > (SELECT min(clock_relay + \(maxTurnMilliseconds), \(LaneTurn.maxMilliseconds)) FROM books) << 16
            OR sequence NOT IN (
                SELECT min(sequence) FROM pending_write INDEXED BY pending_write_lane
                WHERE hold = 0 GROUP BY contact, api_key
            ))
        """,
        """
        UPDATE pending_write SET turn = min(max((SELECT clock_relay FROM books), 1), \(LaneTurn.maxMilliseconds)) << 16
        WHERE turn <= 0 AND sequence IN (
            SELECT min(sequence) FROM pending_write INDEXED BY pending_write_lane
            WHERE hold = 0 GROUP BY contact, api_key
        ) AND contact NOT IN (SELECT contact FROM stopped_contact)
        """,
        """
        UPDATE api_key SET
            pending = \(RowCounts.pendingOfKey), dead = \(RowCounts.deadOfKey), held = \(RowCounts.heldOfKey)
        """,
        """
        UPDATE api_key SET idle_since = iif(pending = 0 AND dead = 0,
            coalesce(idle_since, (SELECT clock_relay FROM books)), NULL)
        """,
        """
        UPDATE books SET
            receipts = \(RowCounts.receipts), stored_bytes = \(RowCounts.storedBytes), held = \(RowCounts.held)
        """,
    ]

    /// No wait is longer.
    static let maxTurnMilliseconds: Int64 = 400 * 86_400_000

    // MARK: - Looking

    /// Pending writes that one step of a look at all of them reads.
    private static let lookStep = 256

    /// Looks whether pending writes behind a sequence can be read, and have turns that come.
    ///
    /// - Returns: Where to go on; nil at the end.
    static func look(after sequence: Int64, _ database: Database) throws -> Int64? {
        let keys = Set(try Int64.fetchAll(database, sql: "SELECT row FROM api_key"))
        let clock = try Int64.fetchOne(database, sql: "SELECT clock_relay FROM books") ?? 0
        let last = LaneTurn(RelayTime(milliseconds: clock) + maxTurnMilliseconds).number
        let rows = try Row.fetchCursor(
            database,
            sql: "SELECT * FROM pending_write WHERE sequence > ? ORDER BY sequence LIMIT \(lookStep)",
            arguments: [sequence]
        )
        var (count, next) = (0, sequence)
        while let row = try rows.next() {
            next = row["sequence"]
            count += 1
            if let reason = damage(row, .pending, keys) { throw OutboxError(.damaged, reason, isOfRow: true) }
            let turn = try row.value("turn", as: Int64.self)
            guard turn == LaneTurn.none || turn > 0 && turn <= last else { throw row.damage("turn") }
        }
        return count == lookStep ? next : nil
    }
}

/// A write whose row cannot be read.
struct DamagedWrite: Sendable, Equatable {
    /// Where it was.
    enum Place: String, CaseIterable, Sendable {
        case pending, dead, receipt

        var rows: String {
            switch self {
            case .pending: "SELECT * FROM pending_write"
            case .dead: "SELECT * FROM ended_write WHERE state = 4"
            case .receipt: "SELECT * FROM ended_write WHERE state <> 4"
            }
        }

        /// What the books have less of; nil for what they have as ended, and go on having so.
        var booksChange: String? {
            switch self {
            case .pending: "pending = pending - 1"
            case .dead: "dead = dead - 1"
            case .receipt: nil
            }
        }
    }

    /// A value as it stood in the file.
    struct RawValue: Codable {
        /// SQLite's name of its type.
        var type: String
        /// The value of a number or a text.
        var text: String?
        /// Any other value, in base 64.
        var base64: String?

        init(type: String, bytes: Data?) {
            self.type = type
            guard let bytes else { return }
            if type != "blob", let text = String(data: bytes, encoding: .utf8) {
                self.text = text
            } else {
                base64 = bytes.base64EncodedString()
            }
        }
    }

    var sequence: Int64
    var place: Place
    /// What cannot be read.
    var reason: String
}
