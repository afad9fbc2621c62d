extension OutboxSchema {
    /// Holds, superseding, the replay rule, bounded receipts, idempotency keys, the keys' lives and the telling of
    /// deaths.
    ///
    /// Whatever is held is found by partial indexes, so that what is not held costs hardly more. Columns are only added: a release that knows version 2 names the
    /// columns it writes, and so works with a version 3 that adds others with defaults.
    static let version2 = """
        UPDATE outbox_schema SET version = 2, oldest_reader = 2;

        ALTER TABLE books ADD COLUMN receipts INTEGER NOT NULL DEFAULT 0;
        UPDATE books SET receipts = (SELECT count(*) FROM ended_write WHERE state <> 4);

        ALTER TABLE api_key ADD COLUMN dead INTEGER NOT NULL DEFAULT 0;
        ALTER TABLE api_key ADD COLUMN idle_since INTEGER;
        UPDATE api_key SET dead = (
            SELECT count(*) FROM ended_write WHERE state = 4 AND ended_write.api_key = api_key.row
        );
        UPDATE api_key SET idle_since = (SELECT clock_relay FROM books) WHERE pending = 0 AND dead = 0;

        CREATE TABLE vault (
            one INTEGER PRIMARY KEY CHECK (one = 1),
            fingerprint_key BLOB NOT NULL,
            master_key BLOB NOT NULL
        ) STRICT;

        ALTER TABLE pending_write RENAME COLUMN is_held TO hold;
        ALTER TABLE pending_write ADD COLUMN replay INTEGER NOT NULL DEFAULT 0;
        ALTER TABLE pending_write ADD COLUMN fields INTEGER;
        ALTER TABLE pending_write ADD COLUMN other_fields TEXT;
        ALTER TABLE pending_write ADD COLUMN not_found_clock INTEGER;
        ALTER TABLE pending_write ADD COLUMN attempt_log TEXT;
        ALTER TABLE pending_write ADD COLUMN idempotency BLOB;
        ALTER TABLE pending_write ADD COLUMN idempotency_content BLOB;
        UPDATE pending_write SET replay = 1, hold = iif(
            (SELECT refused_at FROM api_key WHERE row = pending_write.api_key) IS NULL, 2, 1
        ) WHERE hold <> 0;
        CREATE INDEX pending_write_by_contact ON pending_write (contact);
        CREATE INDEX pending_write_held_by_key ON pending_write (api_key, hold, sequence) WHERE hold <> 0;
        CREATE INDEX pending_write_held_by_time ON pending_write (hold, next_attempt_clock, sequence) WHERE hold <> 0;
        CREATE INDEX pending_write_stopped ON pending_write (contact, sequence) WHERE hold = 3;
        CREATE INDEX pending_write_held_by_age ON pending_write (accepted_clock) WHERE hold <> 0;
        CREATE INDEX pending_write_by_idempotency ON pending_write (idempotency) WHERE idempotency IS NOT NULL;

        ALTER TABLE ended_write ADD COLUMN stored_bytes INTEGER NOT NULL DEFAULT 0;
        ALTER TABLE ended_write ADD COLUMN fields INTEGER;
        ALTER TABLE ended_write ADD COLUMN other_fields TEXT;
        ALTER TABLE ended_write ADD COLUMN attempt_log TEXT;
        ALTER TABLE ended_write ADD COLUMN idempotency BLOB;
        ALTER TABLE ended_write ADD COLUMN idempotency_content BLOB;
        ALTER TABLE ended_write ADD COLUMN told_at INTEGER;
        ALTER TABLE ended_write ADD COLUMN tell_attempts INTEGER NOT NULL DEFAULT 0;
        ALTER TABLE ended_write ADD COLUMN tell_clock INTEGER;
        UPDATE ended_write SET stored_bytes =
            length(CAST(target AS BLOB)) + length(CAST(headers AS BLOB)) + length(body)
        WHERE state = 4;
        CREATE INDEX ended_write_dead ON ended_write (contact, api_key, state) WHERE state = 4;
        CREATE INDEX ended_write_dead_by_sequence ON ended_write (sequence) WHERE state = 4;
        CREATE INDEX ended_write_untold ON ended_write (tell_clock, sequence) WHERE state = 4 AND told_at IS NULL;
        CREATE INDEX ended_write_by_key ON ended_write (api_key) WHERE state <> 1 AND state <> 4;
        CREATE INDEX ended_write_by_idempotency ON ended_write (idempotency) WHERE idempotency IS NOT NULL;

        CREATE TABLE contact_order (
            contact BLOB PRIMARY KEY,
            entries INTEGER NOT NULL,
            last INTEGER NOT NULL DEFAULT 0,
            whole INTEGER NOT NULL DEFAULT 0,
            fields TEXT NOT NULL DEFAULT '{}'
        ) STRICT, WITHOUT ROWID;
        INSERT INTO contact_order (contact, entries, last, whole)
            SELECT contact, count(*), 0, 0 FROM (
                SELECT contact FROM ended_write WHERE state = 4
                UNION ALL SELECT contact FROM pending_write WHERE replay <> 0
            ) GROUP BY contact;
        -- What was delivered since, the first version did not keep: as far as receipts tell, it was everything.
        UPDATE contact_order SET last = delivered.last, whole = delivered.last FROM (
            SELECT contact, max(sequence) AS last FROM ended_write
            WHERE state = 1 AND contact IN (SELECT contact FROM contact_order) GROUP BY contact
        ) AS delivered WHERE delivered.contact = contact_order.contact;

        CREATE TABLE stopped_contact (
            contact BLOB PRIMARY KEY,
            stopped_at INTEGER NOT NULL,
            is_releasing INTEGER NOT NULL DEFAULT 0
        ) STRICT, WITHOUT ROWID;
        """
}
