import DexatelAPI
import Foundation
import GRDB

extension Receipt {
    /// Finds the receipt of a write, wherever it is; nil when nobody knows it, or by another nonce.
    static func read(_ id: WriteID, _ database: Database) throws -> Receipt? {
        for table in ["pending_write", "ended_write"] {
            let statement = try database.cachedStatement(
                sql: """
                    SELECT w.*, \(Self.columns)
                    FROM \(table) w JOIN api_key k ON k.row = w.api_key LEFT JOIN books b WHERE w.sequence = ?
                    """
            )
            guard let row = try Row.fetchOne(statement, arguments: [id.sequence]), try row.value("nonce") == id.nonce
            else {
                continue
            }
            return try Receipt(row, isEnded: table == "ended_write", database)
        }
        return nil
    }

    /// What `init` reads besides the columns of a write (`w`), its key (`k`) and the books (`b`).
    static let columns = """
        k.fingerprint, k.held_at AS key_held_at, b.clock_relay, b.clock_wall,
        EXISTS (SELECT 1 FROM stopped_contact s WHERE s.contact = w.contact) AS is_stopped
        """

    /// Reads a row that `read` and listings ask for.
    init(_ row: Row, isEnded: Bool, _ database: Database) throws {
        try self.init(
            id: WriteID(sequence: row.value("sequence"), nonce: row.value("nonce")),
            state: .pending,
            method: try row.method(),
            contact: try row.contact(),
            keyFingerprint: KeyFingerprint(row.value("fingerprint", as: Data.self)),
            acceptedAtMilliseconds: row.value("accepted_at"),
            attempts: row.value("attempts"),
            lastError: row.value("last_error"),
            isAmbiguous: row.flag("is_ambiguous")
        )
        lastAttempts = AttemptLog(text: try row.value("attempt_log"))
        guard isEnded else {
            try readPending(row)
            return
        }
        guard let state = WriteState(endedCode: try row.value("state")) else { throw row.damage("state") }
        self.state = state
        endedAtMilliseconds = try row.value("ended_at")
        responseStatus = try row.value("response_status")
        responseBody = try row.value("response_body", as: Data?.self).map(Array.init)
        if let successor = try row.value("superseded_by", as: Int64?.self) {
            let key = try row.value("api_key", as: Int64.self)
            supersededBy = try Self.nonce(of: successor, key, database).map {
                WriteID(sequence: successor, nonce: $0)
            }
        }
    }

    private mutating func readPending(_ row: Row) throws {
        hold = try row.hold()
        // The hold of a key or a contact stands with it, and not with each of its writes.
        if hold == .none {
            hold = try row.flag("is_stopped") ? .contact : row.has("key_held_at") ? .key : .none
        }
        if hold.isHeld { state = .held }
        if let next = try row.value("next_attempt_clock", as: Int64?.self),
            let relay = try row.value("clock_relay", as: Int64?.self),
            let wall = try row.value("clock_wall", as: Int64?.self)
        {
            nextAttemptAtMilliseconds = wall &+ (next &- relay)
        }
    }

    /// The nonce of a write with the same key: another key's writes are nobody else's business (P4).
    private static func nonce(of sequence: Int64, _ key: Int64, _ database: Database) throws -> Int64? {
        let statement = try database.cachedStatement(
            sql: """
                SELECT nonce FROM ended_write WHERE sequence = ?1 AND api_key = ?2
                UNION ALL SELECT nonce FROM pending_write WHERE sequence = ?1 AND api_key = ?2
                """
        )
        return try Int64.fetchOne(statement, arguments: [sequence, key])
    }
}
