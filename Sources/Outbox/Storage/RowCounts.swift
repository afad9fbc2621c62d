/// SQL that counts from the rows what books and keys hold as numbers: to check them, and to count again.
enum RowCounts {
    /// The condition that a pending write is held by itself or with its contact.
    static let isHeld = "(hold <> 0 OR contact IN (SELECT contact FROM stopped_contact))"

    // MARK: - Of a row of api_key

    static let pendingOfKey = "(SELECT count(*) FROM pending_write WHERE api_key = api_key.row)"
    static let deadOfKey = "(SELECT count(*) FROM ended_write WHERE state = 4 AND api_key = api_key.row)"
    static let heldOfKey = "(SELECT count(*) FROM pending_write WHERE api_key = api_key.row AND \(isHeld))"

    // MARK: - Of the books

    static let receipts = "(SELECT count(*) FROM ended_write WHERE state <> 4)"
    /// Held writes, those of held keys included.
    static let held = """
        (SELECT count(*) FROM pending_write
            WHERE \(isHeld) OR api_key IN (SELECT row FROM api_key WHERE held_at IS NOT NULL))
        """
    static let storedBytes = """
        ((SELECT coalesce(sum(stored_bytes), 0) FROM pending_write)
            + (SELECT coalesce(sum(stored_bytes), 0) FROM ended_write WHERE state = 4))
        """
}
