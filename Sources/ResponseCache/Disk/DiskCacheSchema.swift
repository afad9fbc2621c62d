import GRDB

/// The tables of `cache.sqlite`.
///
/// Replies lie in the order in which they were stored, so that new ones are added at one end and old ones are taken
/// away at the other. Whose they are is a number that is given up when a key is refused: what it points to is out of
/// reach in one step, however much it is, and is cleared away afterwards.
enum DiskCacheSchema {
    /// A cache of another version is deleted, not migrated: it is disposable.
    static let version: Int32 = 4
    /// Marks the file as a cache of the relay ("CRch").
    static let applicationID: Int32 = 0x4352_6368

    static let tables = """
        PRAGMA application_id = \(applicationID);
        PRAGMA user_version = \(version);
        CREATE TABLE state (
            one INTEGER PRIMARY KEY CHECK (one = 1),
            run INTEGER NOT NULL,
            is_clean INTEGER NOT NULL,
            next_sequence INTEGER NOT NULL,
            clock_disk INTEGER NOT NULL,
            clock_wall INTEGER NOT NULL,
            replies INTEGER NOT NULL,
            origin TEXT NOT NULL
        ) STRICT;
        CREATE TABLE invalidation (
            one INTEGER PRIMARY KEY CHECK (one = 1),
            marks BLOB NOT NULL,
            delivered BLOB NOT NULL
        ) STRICT;
        CREATE TABLE purge (
            path TEXT PRIMARY KEY,
            sequence INTEGER NOT NULL
        ) STRICT;
        CREATE TABLE owner (
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            is_shared INTEGER NOT NULL,
            high INTEGER NOT NULL,
            low INTEGER NOT NULL,
            is_forgotten INTEGER NOT NULL
        ) STRICT;
        CREATE UNIQUE INDEX owner_by_key ON owner (is_shared, high, low) WHERE is_forgotten = 0;
        CREATE INDEX owner_forgotten ON owner (id) WHERE is_forgotten = 1;
        CREATE TABLE reply (
            position INTEGER PRIMARY KEY,
            owner INTEGER NOT NULL,
            target_hash INTEGER NOT NULL,
            target TEXT NOT NULL,
            vary TEXT,
            sequence INTEGER NOT NULL,
            requested INTEGER NOT NULL,
            held INTEGER NOT NULL,
            born INTEGER NOT NULL,
            lifetime INTEGER NOT NULL,
            stale_while_revalidate INTEGER NOT NULL,
            stale_if_error INTEGER NOT NULL,
            stale_if_disconnected INTEGER NOT NULL,
            flags INTEGER NOT NULL,
            status INTEGER NOT NULL,
            date INTEGER NOT NULL,
            fields BLOB NOT NULL,
            body BLOB NOT NULL,
            checksum INTEGER NOT NULL
        ) STRICT;
        CREATE INDEX reply_by_target ON reply (owner, target_hash);
        """

    /// What a file turns out to be before anything is written to it.
    enum Kind {
        case empty
        case cache
        /// A cache that another release has made.
        case otherVersion
        /// What another upstream has said.
        case otherOrigin
        case foreign
    }

    static func kind(_ database: Database, origin: String) throws -> Kind {
        let application = try Int32.fetchOne(database, sql: "PRAGMA application_id") ?? 0
        let found = try Int32.fetchOne(database, sql: "PRAGMA user_version") ?? 0
        let tables = try Int.fetchOne(database, sql: "SELECT count(*) FROM sqlite_schema") ?? 0
        switch (application, found) {
        case (0, 0) where tables == 0: return .empty
        case (applicationID, version):
            let known = try String.fetchOne(database, sql: "SELECT origin FROM state") ?? origin
            return known == origin ? .cache : .otherOrigin
        case (applicationID, _): return .otherVersion
        default: return .foreign
        }
    }
}

extension CachePartition {
    /// The columns that name it.
    var columns: (isShared: Bool, high: Int64, low: Int64) {
        switch self {
        case .shared: (true, 0, 0)
        case .key(let high, let low): (false, Int64(bitPattern: high), Int64(bitPattern: low))
        }
    }

    /// Reads the columns.
    init(isShared: Bool, high: Int64, low: Int64) {
        self = isShared ? .shared : .key(high: UInt64(bitPattern: high), low: UInt64(bitPattern: low))
    }
}
