import DexatelAPI
import Foundation
import GRDB

/// An operator's selection as SQL.
struct SelectionQuery {
    /// A table that may hold what is selected, and by which of its rows.
    struct Table {
        var source: String
        var joined: String
        var conditions: String
        var isEnded: Bool
    }

    private(set) var tables: [Table] = []
    /// Conditions for rows of either table.
    private(set) var conditions = ""
    private(set) var arguments = StatementArguments()

    init(_ selection: WriteSelection, wallNow: Int64, _ database: Database) throws {
        addTables(selection.states)
        if !selection.ids.isEmpty {
            let ids = selection.ids.prefix(WriteSelection.maxIDs)
            // A name with another nonce is another outbox's.
            let list = ids.map { "(\($0.sequence), \($0.nonce))" }.joined(separator: ", ")
            conditions += " AND (w.sequence, w.nonce) IN (VALUES \(list))"
        }
        if let contact = selection.contact { add("w.contact = ?", Data(contact.bytes)) }
        if let audience = selection.audience {
            let bytes = ContactReference(audience: audience, contact: 0).bytes.prefix(16)
            add("substr(w.contact, 1, 16) = ?", Data(bytes))
        }
        if let prefix = selection.keyFingerprintPrefix {
            add("substr(lower(hex(k.fingerprint)), 1, ?) = ?", prefix.utf8.count, prefix.lowercased())
        }
        if let age = selection.olderThanMilliseconds {
            let (bound, isOverflow) = wallNow.subtractingReportingOverflow(age)
            // Older than can be is nothing; younger than can be is all.
            add("w.accepted_at < ?", isOverflow ? (age > 0 ? Int64.min : Int64.max) : bound)
        }
        if let status = selection.status {
            add("(w.last_error = ? OR \(Self.responseStatus) = ?)", "status \(status)", status)
        }
        if let code = selection.errorCode { add("\(Self.errorCode) = ?", code) }
    }

    /// Pending writes have no reply yet: their last error says the status.
    private static let responseStatus = "w.response_status"
    private static let errorCode = """
        iif(json_valid(CAST(w.response_body AS TEXT)),
            json_extract(CAST(w.response_body AS TEXT), '$.errors[0].code'), NULL)
        """

    private mutating func add(_ condition: String, _ values: any DatabaseValueConvertible...) {
        conditions += " AND \(condition)"
        arguments += StatementArguments(values)
    }

    private static let keys = "JOIN api_key k ON k.row = w.api_key LEFT JOIN books b"

    private mutating func addTables(_ states: Set<WriteState>) {
        let pending = states.filter { !$0.hasEnded }
        if states.isEmpty || !pending.isEmpty {
            // Pending writes have neither of these columns: they match nothing there.
            let columns = "(SELECT *, NULL AS response_status, NULL AS response_body FROM pending_write) w"
            let isHeld = """
                (w.hold <> 0 OR k.held_at IS NOT NULL
                    OR EXISTS (SELECT 1 FROM stopped_contact s WHERE s.contact = w.contact))
                """
            let onlyHeld = !states.isEmpty && pending == [.held]
            let noneHeld = !states.isEmpty && !pending.contains(.held)
            tables.append(
                Table(
                    source: "pending_write w WHERE TRUE",
                    joined: "\(columns) \(Self.keys) WHERE TRUE",
                    conditions: onlyHeld ? " AND \(isHeld)" : noneHeld ? " AND NOT (\(isHeld))" : "",
                    isEnded: false
                )
            )
        }
        let ended = states.compactMap(\.endedCode)
        guard states.isEmpty || !ended.isEmpty else { return }
        // The dead have an index of their own; the others are looked through.
        let onlyDead = ended == [4]
        let source = onlyDead ? "ended_write w INDEXED BY ended_write_dead_by_sequence" : "ended_write w"
        let filter = onlyDead ? "w.state = 4" : "TRUE"
        let list = ended.map(String.init).joined(separator: ", ")
        tables.append(
            Table(
                source: "\(source) WHERE \(filter)",
                joined: "\(source) \(Self.keys) WHERE \(filter)",
                conditions: states.isEmpty || onlyDead ? "" : " AND w.state IN (\(list))",
                isEnded: true
            )
        )
    }
}
