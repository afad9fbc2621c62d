extension OutboxSchema {
    /// The schedule of deliveries: which lane is sent next is a query.
    ///
    /// The first write of each contact with each key has a turn. The hold of a key or a contact is a change of one row, and
    /// no longer of each write.
    static let version3 = """
        UPDATE outbox_schema SET version = 3, oldest_reader = 3;

        ALTER TABLE books ADD COLUMN is_paused INTEGER NOT NULL DEFAULT 0;
        ALTER TABLE books ADD COLUMN damaged INTEGER NOT NULL DEFAULT 0;
        -- Rows that cannot be read, with all that stood in them.
        CREATE TABLE damaged_write (
            sequence INTEGER PRIMARY KEY,
            place TEXT NOT NULL,
            found_at INTEGER NOT NULL,
            reason TEXT NOT NULL,
            content TEXT NOT NULL
        ) STRICT;
        ALTER TABLE api_key ADD COLUMN held INTEGER NOT NULL DEFAULT 0;
        ALTER TABLE api_key ADD COLUMN held_at INTEGER;
        ALTER TABLE pending_write ADD COLUMN turn INTEGER NOT NULL DEFAULT (\(LaneTurn.none));
        ALTER TABLE pending_write ADD COLUMN outage INTEGER NOT NULL DEFAULT 0;

        ALTER TABLE pending_write ADD COLUMN checksum INTEGER;
        ALTER TABLE ended_write ADD COLUMN checksum INTEGER;
        UPDATE pending_write SET checksum = \(WriteChecksum.call);
        UPDATE ended_write SET checksum = \(WriteChecksum.call) WHERE state = 4;

        DROP INDEX pending_write_by_contact;
        DROP INDEX pending_write_stopped;
        DROP INDEX pending_write_held_by_age;
        DELETE FROM stopped_contact WHERE is_releasing <> 0;
        ALTER TABLE stopped_contact DROP COLUMN is_releasing;

        -- Of a key, of a contact, and on the way back.
        UPDATE pending_write SET hold = 0, next_attempt_clock = NULL WHERE hold IN (1, 3, 5);
        CREATE INDEX pending_write_lane ON pending_write (contact, api_key) WHERE hold = 0;
        CREATE INDEX pending_write_held_by_contact ON pending_write (contact) WHERE hold <> 0;

        UPDATE pending_write
        SET turn = max((SELECT clock_relay FROM books), coalesce(next_attempt_clock, 0), 1) << 16
        WHERE sequence IN (
            SELECT min(sequence) FROM pending_write INDEXED BY pending_write_lane
            WHERE hold = 0 GROUP BY contact, api_key
        ) AND contact NOT IN (SELECT contact FROM stopped_contact);
        CREATE INDEX pending_write_ready ON pending_write (api_key, turn) WHERE turn > 0;
        CREATE INDEX pending_write_waits_for_upstream ON pending_write (turn) WHERE outage <> 0;

        -- A replaced key is held with the one that its writes are sent with.
        WITH RECURSIVE heir(own, last) AS (
            SELECT row, row FROM api_key WHERE successor IS NULL
            UNION ALL SELECT k.row, heir.last FROM api_key k JOIN heir ON k.successor = heir.own
        )
        UPDATE api_key SET held_at = last.refused_at
        FROM heir JOIN api_key AS last ON last.row = heir.last WHERE heir.own = api_key.row;
        UPDATE api_key SET held = counted.number FROM (
            SELECT api_key AS key, count(*) AS number FROM pending_write
            WHERE hold <> 0 OR contact IN (SELECT contact FROM stopped_contact) GROUP BY api_key
        ) AS counted WHERE counted.key = api_key.row;
        UPDATE books SET held = (
            SELECT count(*) FROM pending_write
            WHERE hold <> 0 OR contact IN (SELECT contact FROM stopped_contact)
                OR api_key IN (SELECT row FROM api_key WHERE held_at IS NOT NULL)
        );
        """
}
