import DexatelAPI
import Foundation
import GRDB

extension SQLiteOutboxStorage {
    /// What is read when an outbox is opened: nothing that grows with what is pending.
    struct Contents {
        var counts = WriteCounts()
        var nextSequence: Int64 = 1
        var keys: [StoredKey] = []
        var relay: Int64?
        var wall: Int64?
        var stopped: Set<ContactReference> = []
        var dead: [OpenedOutbox.DeadCount] = []
        var hasOrders = false
        var pause = DeliveryPause.none
    }

    static func keys(_ database: Database) throws -> [StoredKey] {
        let columns = Set(try database.columns(in: "api_key").map(\.name))
        let (hasDead, hasHeld) = (columns.contains("dead"), columns.contains("held"))
        return try Row.fetchAll(database, sql: "SELECT * FROM api_key").map { row in
            try StoredKey(
                row: row.value("row"),
                fingerprint: row.fingerprint(),
                sealed: row.value("sealed", as: Data?.self).map(Array.init),
                masterKeyIdentifier: Array(row.value("master_key", as: Data.self)),
                isVerified: row.has("verified_at"),
                isRefused: row.has("refused_at"),
                pending: row.value("pending"),
                dead: hasDead ? row.value("dead") : 0,
                successor: row.value("successor"),
                held: hasHeld ? row.value("held") : 0,
                isHeld: hasHeld && row.has("held_at")
            )
        }
    }

    static func vault(_ database: Database) throws -> StoredVault? {
        try Row.fetchOne(database, sql: "SELECT * FROM vault").map { row in
            try StoredVault(
                sealedFingerprintKey: Array(row.value("fingerprint_key", as: Data.self)),
                masterKeyIdentifier: Array(row.value("master_key", as: Data.self))
            )
        }
    }

    static func contents(_ database: Database, path: String) throws -> Contents {
        var contents = Contents()
        contents.keys = try keys(database)
        guard let row = try Row.fetchOne(database, sql: "SELECT * FROM books") else { return contents }
        contents.counts = try counts(row)
        guard contents.counts.isBalanced else {
            throw OutboxError(
                .damaged,
                "the books of \(path) do not balance (\(contents.counts)); it was left as it is"
            )
        }
        contents.nextSequence = try row.value("next_sequence")
        contents.relay = try row.value("clock_relay")
        contents.wall = try row.value("clock_wall")
        for row in try Row.fetchAll(database, sql: "SELECT contact FROM stopped_contact") {
            contents.stopped.insert(try row.contact())
        }
        contents.dead = try Row.fetchAll(database, sql: deadCounts).map { row in
            try OpenedOutbox.DeadCount(
                contact: row.contact(),
                keyRow: row.value("api_key"),
                count: row.value("number")
            )
        }
        contents.pause = DeliveryPause(rawValue: try row.value("is_paused")) ?? .operator
        contents.hasOrders = try hasOrders(database)
        try checkCheaply(database, contents, path: path)
        return contents
    }

    /// Reads the index of the dead alone.
    static let deadCounts = """
        SELECT contact, api_key, count(*) AS number FROM ended_write INDEXED BY ended_write_dead
        WHERE state = 4 GROUP BY contact, api_key
        """

    static func counts(_ row: Row) throws -> WriteCounts {
        var counts = WriteCounts()
        counts.accepted = try row.value("accepted")
        counts.pending = try row.value("pending")
        counts.held = try row.value("held")
        counts.delivered = try row.value("delivered")
        counts.rejected = try row.value("rejected")
        counts.superseded = try row.value("superseded")
        counts.dead = try row.value("dead")
        counts.discarded = try row.value("discarded")
        counts.damaged = try row.value("damaged")
        counts.storedBytes = try row.value("stored_bytes")
        counts.receipts = try row.value("receipts")
        return counts
    }

    // MARK: - Checking

    /// What can be found out in milliseconds at each start: the sums of the keys and of the dead against the books, and
    /// that no sequence is given twice.
    private static func checkCheaply(_ database: Database, _ contents: Contents, path: String) throws {
        let pendingOfKeys = contents.keys.reduce(0) { $0 &+ $1.pending }
        let dead = contents.dead.reduce(0) { $0 + Int64($1.count) }
        let newest = try Int64.fetchOne(
            database,
            sql: """
                SELECT max(coalesce((SELECT max(sequence) FROM pending_write), 0),
                    coalesce((SELECT max(sequence) FROM ended_write), 0))
                """
        )
        guard pendingOfKeys == contents.counts.pending, dead == contents.counts.dead,
            newest ?? 0 < contents.nextSequence
        else {
            throw OutboxError(
                .damaged,
                "the books of \(path) are not those of its writes (\(contents.counts); \(pendingOfKeys) pending by key, "
                    + "\(dead) dead, newest sequence \(newest ?? 0) of \(contents.nextSequence)); it was left as it is"
            )
        }
    }

    /// Looks through a whole database for damage, and counts everything again.
    static func findings(_ database: Database) throws -> [String] {
        var findings = try String.fetchAll(database, sql: "PRAGMA integrity_check(20)").filter { $0 != "ok" }
        if let row = try Row.fetchOne(database, sql: "PRAGMA foreign_key_check") {
            findings.append("a row refers to one that is not there: \(row)")
        }
        if let number = try Int64.fetchOne(database, sql: "SELECT count(*) FROM damaged_write"), number > 0 {
            findings.append("\(number) writes \(Outbox.setAside) (contact-relay outbox damaged)")
        }
        findings += try rowFindings(database)
        for (what, sql) in recounts {
            do {
                if let number = try Int64.fetchOne(database, sql: sql), number != 0 {
                    findings.append("\(what): off by \(number)")
                }
            } catch  where isOverflow(error) {
                findings.append("\(what): cannot be counted, a number is damaged")
            }
        }
        return findings
    }

    /// Whether SQLite could not add up what is there, or GRDB could not read the sum.
    private static func isOverflow(_ error: any Error) -> Bool {
        error is RowDecodingError || (error as? DatabaseError)?.resultCode == .SQLITE_ERROR
    }

    /// Findings that are listed one by one at most.
    private static let maxRowFindings = 20

    /// Reads every row as the daemon does, and says which it cannot read.
    private static func rowFindings(_ database: Database) throws -> [String] {
        var findings: [String] = []
        var left = 0
        func look(_ sql: String, _ read: (Row) throws -> Void) throws {
            let rows = try Row.fetchCursor(database, sql: sql)
            while let row = try rows.next() {
                do {
                    try row.checkNumbers(but: sql.hasSuffix("contact_order") ? ["fields"] : [])
                    try read(row)
                } catch let error as OutboxError where error.code == .damaged {
                    if findings.count < maxRowFindings {
                        findings.append(error.message)
                    } else {
                        left += 1
                    }
                }
            }
        }
        try look("SELECT * FROM books") { _ = try counts($0) }
        try look("SELECT * FROM api_key") { _ = try $0.fingerprint() }
        let keys = Set(try Int64.fetchAll(database, sql: "SELECT row FROM api_key"))
        for place in DamagedWrite.Place.allCases {
            try look(place.rows) { row in
                if let reason = damage(row, place, keys) { throw OutboxError(.damaged, reason, isOfRow: true) }
            }
        }
        try look("SELECT * FROM contact_order") { _ = (try $0.contact(), try $0.value("fields", as: String.self)) }
        try look("SELECT * FROM stopped_contact") { _ = try $0.contact() }
        if left > 0 { findings.append("\(left) more rows that cannot be read") }
        return findings
    }

    /// What must be 0: the books and the other counts, against the rows.
    static let recounts: [(String, String)] = [
        (
            "accepted",
            """
            SELECT coalesce(sum(accepted - pending - delivered - rejected - superseded - dead - discarded - damaged), 0) FROM books
            """
        ),
        (
            "sequences that would be given again",
            """
            SELECT (SELECT count(*) FROM pending_write WHERE sequence >= (SELECT next_sequence FROM books))
                + (SELECT count(*) FROM ended_write WHERE sequence >= (SELECT next_sequence FROM books))
            """
        ),
        ("pending", "SELECT (SELECT pending FROM books) - (SELECT count(*) FROM pending_write)"),
        ("held", "SELECT (SELECT held FROM books) - \(RowCounts.held)"),
        ("held writes of keys", "SELECT count(*) FROM api_key WHERE held <> \(RowCounts.heldOfKey)"),
        (
            "lanes that nothing would ever send",
            """
            SELECT count(*) FROM (
                SELECT w.turn, (
                    SELECT min(sequence) FROM pending_write AS first
                    WHERE first.contact = w.contact AND first.hold = 0
                ) = w.sequence AS is_first FROM pending_write AS w
                WHERE w.hold = 0 AND w.contact NOT IN (SELECT contact FROM stopped_contact)
            ) WHERE is_first AND turn <= 0
            """
        ),
        (
            "turns of writes that are not the first of their lanes",
            """
            SELECT count(*) FROM pending_write AS w WHERE turn > 0 AND (
                \(RowCounts.isHeld) OR EXISTS (
                    SELECT 1 FROM pending_write AS other
                    WHERE other.contact = w.contact AND other.api_key = w.api_key AND other.hold = 0
                        AND other.sequence < w.sequence
                )
            )
            """
        ),
        (
            "damaged",
            "SELECT (SELECT damaged FROM books) - (SELECT count(*) FROM damaged_write WHERE place <> 'receipt')"
        ),
        ("dead", "SELECT (SELECT dead FROM books) - (SELECT count(*) FROM ended_write WHERE state = 4)"),
        ("receipts", "SELECT (SELECT receipts FROM books) - \(RowCounts.receipts)"),
        ("bytes", "SELECT (SELECT stored_bytes FROM books) - \(RowCounts.storedBytes)"),
        ("pending writes of keys", "SELECT count(*) FROM api_key WHERE pending <> \(RowCounts.pendingOfKey)"),
        ("dead writes of keys", "SELECT count(*) FROM api_key WHERE dead <> \(RowCounts.deadOfKey)"),
        (
            "contacts with writes out of order",
            """
            SELECT count(*) FROM (
                SELECT contact, sum(n) AS n FROM (
                    SELECT contact, entries AS n FROM contact_order
                    UNION ALL SELECT contact, -1 FROM pending_write WHERE replay <> 0
                    UNION ALL SELECT contact, -1 FROM ended_write WHERE state = 4
                ) GROUP BY contact
            ) WHERE n <> 0
            """
        ),
        (
            "writes both pending and ended",
            "SELECT count(*) FROM pending_write WHERE sequence IN (SELECT sequence FROM ended_write)"
        ),
    ]
}
