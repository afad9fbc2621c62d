import GRDB

/// The tables of `outbox.sqlite` and the versions that they went through.
///
/// Pending writes and ended ones live apart: the hot table holds only what is still to be done, so that the next work
/// is found by its primary key however many receipts are kept, and the body of a write that ends is gone with its row
/// (`secure_delete` overwrites it).
enum OutboxSchema {
    /// The version that this release writes.
    static let version = 3
    /// The oldest version of a release that can read what this one writes.
    static let oldestReader = 3
    /// Marks the file as an outbox of the relay ("CRly").
    static let applicationID: Int32 = 0x4352_6c79

    static var migrator: DatabaseMigrator {
        var migrator = DatabaseMigrator()
        migrator.registerMigration("1") { database in
            try database.execute(sql: version1)
        }
        migrator.registerMigration("2") { database in
            try database.execute(sql: version2)
        }
        migrator.registerMigration("3") { database in
            database.add(function: WriteChecksum.function)
            try database.execute(sql: version3)
        }
        return migrator
    }

    /// Refuses a database that a newer release made and that this one cannot read; true when it needs no migration.
    static func isCurrentOrNewer(_ database: Database, path: String) throws -> Bool {
        let application = try Int32.fetchOne(database, sql: "PRAGMA application_id") ?? 0
        guard try database.tableExists("outbox_schema") else {
            let tables = try Int.fetchOne(database, sql: "SELECT count(*) FROM sqlite_schema WHERE type = 'table'") ?? 0
            guard application == 0, tables == 0 else {
                throw OutboxError(.damaged, "\(path) is a SQLite database, but not an outbox; it was left alone")
            }
            return false
        }
        guard application == applicationID,
            let row = try Row.fetchOne(database, sql: "SELECT version, oldest_reader FROM outbox_schema")
        else {
            throw OutboxError(.damaged, "\(path) does not say which version of the outbox it is; it was left alone")
        }
        let (found, oldest): (Int, Int) = (try row.value("version"), try row.value("oldest_reader"))
        guard oldest <= version else {
            throw OutboxError(
                .schemaTooNew,
                "\(path) has schema version \(found), which needs a release that reads version \(oldest) or later; "
                    + "this one reads up to \(version). Nothing was changed"
            )
        }
        return found >= version
    }

    /// What the first version was; it has to stay as it is.
    static let version1 = """
        PRAGMA application_id = \(applicationID);
        CREATE TABLE outbox_schema (
            one INTEGER PRIMARY KEY CHECK (one = 1),
            version INTEGER NOT NULL,
            oldest_reader INTEGER NOT NULL
        ) STRICT;
        INSERT INTO outbox_schema VALUES (1, 1, 1);

        CREATE TABLE books (
            one INTEGER PRIMARY KEY CHECK (one = 1),
            accepted INTEGER NOT NULL,
            pending INTEGER NOT NULL,
            held INTEGER NOT NULL,
            delivered INTEGER NOT NULL,
            rejected INTEGER NOT NULL,
            superseded INTEGER NOT NULL,
            dead INTEGER NOT NULL,
            discarded INTEGER NOT NULL,
            stored_bytes INTEGER NOT NULL,
            next_sequence INTEGER NOT NULL,
            clock_relay INTEGER NOT NULL,
            clock_wall INTEGER NOT NULL
        ) STRICT;

        CREATE TABLE api_key (
            row INTEGER PRIMARY KEY,
            fingerprint BLOB NOT NULL UNIQUE,
            sealed BLOB,
            master_key BLOB NOT NULL,
            created_at INTEGER NOT NULL,
            verified_at INTEGER,
            refused_at INTEGER,
            successor INTEGER REFERENCES api_key (row),
            pending INTEGER NOT NULL
        ) STRICT;

        CREATE TABLE pending_write (
            sequence INTEGER PRIMARY KEY,
            nonce INTEGER NOT NULL,
            contact BLOB NOT NULL,
            api_key INTEGER NOT NULL REFERENCES api_key (row),
            method INTEGER NOT NULL,
            target TEXT NOT NULL,
            headers TEXT NOT NULL,
            body BLOB NOT NULL,
            stored_bytes INTEGER NOT NULL,
            accepted_at INTEGER NOT NULL,
            accepted_clock INTEGER NOT NULL,
            attempts INTEGER NOT NULL,
            next_attempt_clock INTEGER,
            is_held INTEGER NOT NULL,
            is_ambiguous INTEGER NOT NULL,
            last_error TEXT
        ) STRICT;

        CREATE TABLE ended_write (
            sequence INTEGER PRIMARY KEY,
            nonce INTEGER NOT NULL,
            state INTEGER NOT NULL,
            contact BLOB NOT NULL,
            api_key INTEGER NOT NULL REFERENCES api_key (row),
            method INTEGER NOT NULL,
            target TEXT,
            headers TEXT,
            body BLOB,
            accepted_at INTEGER NOT NULL,
            ended_at INTEGER NOT NULL,
            ended_clock INTEGER NOT NULL,
            attempts INTEGER NOT NULL,
            is_ambiguous INTEGER NOT NULL,
            last_error TEXT,
            response_status INTEGER,
            response_body BLOB,
            superseded_by INTEGER
        ) STRICT;
        CREATE INDEX ended_write_by_clock ON ended_write (ended_clock) WHERE state <> 4;
        """
}
