import DexatelAPI
import Foundation
import GRDB

extension Receipt {
    /// Finds the receipt of a write, wherever it is; nil when nobody knows it, or by another nonce.
    static func read(_ id: WriteID, _ database: Database) throws -> Receipt? {
        for table in ["pending_write", "ended_write"] {
            let statement = try database.cachedStatement(
                sql: """
                    SELECT w.*, k.fingerprint, b.clock_relay, b.clock_wall
                    FROM \(table) w JOIN api_key k ON k.row = w.api_key LEFT JOIN books b WHERE w.sequence = ?
                    """
            )
            guard let row = try Row.fetchOne(statement, arguments: [id.sequence]), row["nonce"] == id.nonce else {
                continue
            }
            return try Receipt(row, isEnded: table == "ended_write", database)
        }
        return nil
    }

    /// Reads a row that `read` and listings ask for.
    init?(_ row: Row, isEnded: Bool, _ database: Database) throws {
        guard let contact = ContactReference(bytes: row["contact"] as Data),
            let method = WriteMethod(rawValue: row["method"])
        else { return nil }
        self.init(
            id: WriteID(sequence: row["sequence"], nonce: row["nonce"]),
            state: .pending,
            method: method,
            contact: contact,
            keyFingerprint: KeyFingerprint(row["fingerprint"] as Data),
            acceptedAtMilliseconds: row["accepted_at"],
            attempts: row["attempts"],
            lastError: row["last_error"],
            isAmbiguous: row["is_ambiguous"]
        )
        lastAttempts = AttemptLog(text: row["attempt_log"])
        guard isEnded else {
            readPending(row)
            return
        }
        guard let state = WriteState(endedCode: row["state"]) else { return nil }
        self.state = state
        endedAtMilliseconds = row["ended_at"]
        responseStatus = row["response_status"]
        responseBody = (row["response_body"] as Data?).map(Array.init)
        if let successor = row["superseded_by"] as Int64? {
            supersededBy = try Self.nonce(of: successor, database).map { WriteID(sequence: successor, nonce: $0) }
        }
    }

    private mutating func readPending(_ row: Row) {
        hold = WriteHold(rawValue: row["hold"]) ?? .none
        if hold.isHeld { state = .held }
        if let next = row["next_attempt_clock"] as Int64?, let relay = row["clock_relay"] as Int64?,
            let wall = row["clock_wall"] as Int64?
        {
            nextAttemptAtMilliseconds = wall + (next - relay)
        }
    }

    private static func nonce(of sequence: Int64, _ database: Database) throws -> Int64? {
        let statement = try database.cachedStatement(
            sql: """
                SELECT nonce FROM ended_write WHERE sequence = ?1
                UNION ALL SELECT nonce FROM pending_write WHERE sequence = ?1
                """
        )
        return try Int64.fetchOne(statement, arguments: [sequence])
    }
}
