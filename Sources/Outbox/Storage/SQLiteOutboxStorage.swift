import DexatelAPI
import Foundation
import GRDB
import Glibc
import NIOCore

/// The outbox in one SQLite file: WAL, `synchronous=FULL`, and this one connection for all commits and all checkpoints.
///
/// SQLite before 3.51.3 can corrupt a WAL database when one connection checkpoints while another commits; every other
/// connection is read-only (design §8).
final class SQLiteOutboxStorage: OutboxStorage {
    /// Pages in the WAL after which a commit checkpoints.
    static let checkpointPages = 2_000

    private let path: String
    private var queue: DatabaseQueue?
    private var reader: SQLiteOutboxReader?

    init(path: String) {
        self.path = path
    }

    // MARK: - Opening

    func open(verify: Bool) throws -> OpenedOutbox {
        closeWriter()
        do {
            return try explained { try openChecked(verify: verify) }
        } catch {
            closeWriter()
            throw error
        }
    }

    /// The API keys of an outbox that is not open, read without changing anything: a wrong master key is found out
    /// before the file is touched.
    func storedKeys() throws -> [StoredKey] {
        try explained { try prepareFile() }
    }

    /// Says what SQLite's errors mean.
    private func explained<Result>(_ body: () throws -> Result) throws -> Result {
        do {
            return try body()
        } catch let error as DatabaseError {
            switch error.resultCode {
            case .SQLITE_CORRUPT, .SQLITE_NOTADB:
                throw OutboxError(
                    .damaged,
                    "\(path) is damaged (\(error.message ?? "no details")); it was left as it is. Keep a copy of it "
                        + "with its -wal file, then recover it with sqlite3's .recover"
                )
            default:
                throw OutboxError(.storage, "cannot open \(path): \(error.message ?? error.resultCode.description)")
            }
        }
    }

    private func openChecked(verify: Bool) throws -> OpenedOutbox {
        _ = try prepareFile()
        let queue = try DatabaseQueue(path: path, configuration: Self.writerConfiguration())
        self.queue = queue
        let needsMigration = try queue.read { try !OutboxSchema.isCurrentOrNewer($0, path: path) }
        if needsMigration { try OutboxSchema.migrator.migrate(queue) }
        let opened = try queue.writeWithoutTransaction { database in
            // GRDB sets NORMAL when it turns on the WAL; a commit that is not on disk is no commit (P1).
            try database.execute(sql: "PRAGMA synchronous = FULL")
            guard try Int.fetchOne(database, sql: "PRAGMA synchronous") == 2,
                try String.fetchOne(database, sql: "PRAGMA journal_mode") == "wal"
            else {
                throw OutboxError(.storage, "SQLite does not take synchronous=FULL with a WAL for \(path)")
            }
            if verify {
                try Self.verify(database, path: path)
                try Self.checkpoint(database, path: path)
            }
            return try Self.contents(database, path: path)
        }
        // What a process that was killed had written without syncing it is part of the outbox now, and is not to be sent
        // before it is on disk (P1).
        if !verify { try Self.sync(path + "-wal") }
        let reader = try SQLiteOutboxReader(path: path)
        self.reader?.close()
        self.reader = reader
        return OpenedOutbox(
            counts: opened.counts,
            nextSequence: opened.nextSequence,
            keys: opened.keys,
            savedRelayClock: opened.relay,
            savedWallClock: opened.wall,
            reader: reader
        )
    }

    /// Makes the file, for its owner alone (SQLite gives the -wal and -shm files the same mode), or looks at the one
    /// that is there over a connection that changes nothing: turning on the WAL would already write to a database that
    /// is to be refused.
    private func prepareFile() throws -> [StoredKey] {
        let descriptor = Glibc.open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
        if descriptor >= 0 {
            Glibc.close(descriptor)
            return []
        }
        guard errno == EEXIST else {
            throw OutboxError(.storage, "cannot create \(path): \(OutboxError.text(ofErrno: errno))")
        }
        var configuration = GRDB.Configuration()
        configuration.readonly = true
        let queue = try DatabaseQueue(path: path, configuration: configuration)
        defer { try? queue.close() }
        return try queue.read { database in
            _ = try OutboxSchema.isCurrentOrNewer(database, path: path)
            return try database.tableExists("api_key") ? try Self.keys(database) : []
        }
    }

    private static func writerConfiguration() -> GRDB.Configuration {
        var configuration = GRDB.Configuration()
        configuration.journalMode = .wal
        configuration.label = "outbox"
        configuration.prepareDatabase { database in
            try database.execute(
                sql: """
                    PRAGMA secure_delete = ON;
                    PRAGMA temp_store = MEMORY;
                    PRAGMA cache_size = -16384;
                    PRAGMA wal_autocheckpoint = \(checkpointPages);
                    PRAGMA journal_size_limit = 67108864;
                    """
            )
        }
        return configuration
    }

    private static func verify(_ database: Database, path: String) throws {
        let finding = try String.fetchOne(database, sql: "PRAGMA quick_check(1)") ?? "no answer"
        guard finding == "ok" else {
            throw OutboxError(.damaged, "\(path) is damaged (\(finding)); it was left as it is")
        }
    }

    /// Brings what the WAL holds into the database itself, and syncs that.
    ///
    /// A commit whose fsync failed stands in the WAL all the same, and is taken over when the database is opened again;
    /// the kernel takes its pages for written, so that no further fsync would bring them to the disk. Only written anew,
    /// into the database, are they durable (P1).
    private static func checkpoint(_ database: Database, path: String) throws {
        let isBusy = try Bool.fetchOne(database, sql: "PRAGMA wal_checkpoint(TRUNCATE)") ?? true
        guard !isBusy else { throw OutboxError(.storage, "\(path) is being read and cannot be checkpointed yet") }
    }

    private static func sync(_ path: String) throws {
        let descriptor = Glibc.open(path, O_RDWR | O_CLOEXEC)
        guard descriptor >= 0 else {
            // There is no WAL before the first commit.
            if errno == ENOENT { return }
            throw OutboxError(.storage, "cannot open \(path): \(OutboxError.text(ofErrno: errno))")
        }
        defer { Glibc.close(descriptor) }
        guard fdatasync(descriptor) == 0 else {
            throw OutboxError(.storage, "cannot sync \(path): \(OutboxError.text(ofErrno: errno))")
        }
    }

    private static func keys(_ database: Database) throws -> [StoredKey] {
        try Row.fetchAll(database, sql: "SELECT * FROM api_key").map { row in
            StoredKey(
                row: row["row"],
                fingerprint: KeyFingerprint(row["fingerprint"] as Data),
                sealed: (row["sealed"] as Data?).map(Array.init),
                masterKeyIdentifier: Array(row["master_key"] as Data),
                isVerified: row["verified_at"] != nil,
                isRefused: row["refused_at"] != nil,
                pending: row["pending"]
            )
        }
    }

    private static func contents(
        _ database: Database,
        path: String
    ) throws -> (counts: WriteCounts, nextSequence: Int64, keys: [StoredKey], relay: Int64?, wall: Int64?) {
        let keys = try keys(database)
        guard let row = try Row.fetchOne(database, sql: "SELECT * FROM books") else {
            return (WriteCounts(), 1, keys, nil, nil)
        }
        var counts = WriteCounts()
        counts.accepted = row["accepted"]
        counts.pending = row["pending"]
        counts.held = row["held"]
        counts.delivered = row["delivered"]
        counts.rejected = row["rejected"]
        counts.superseded = row["superseded"]
        counts.dead = row["dead"]
        counts.discarded = row["discarded"]
        counts.storedBytes = row["stored_bytes"]
        guard counts.isBalanced else {
            throw OutboxError(.damaged, "the books of \(path) do not balance (\(counts)); it was left as it is")
        }
        return (counts, row["next_sequence"], keys, row["clock_relay"], row["clock_wall"])
    }

    func close() {
        // The reader goes first: the last connection to close checkpoints, and that must be the one that commits.
        reader?.close()
        reader = nil
        closeWriter()
    }

    /// Closes the connection that writes, after a failure: what is committed can still be read.
    func closeWriter() {
        try? queue?.close()
        queue = nil
    }

    // MARK: - Committing

    func commit(_ transaction: OutboxTransaction) throws {
        guard let queue else { throw OutboxError(.storage, "\(path) is not open") }
        try queue.inTransaction(.immediate) { database in
            try Self.writeKeys(transaction, database)
            try Self.writeAccepts(transaction, database)
            try Self.writeAttempts(transaction, database)
            try Self.writeEnds(transaction, database)
            try Self.purge(transaction, database)
            try Self.writeBooks(transaction, database)
            return .commit
        }
    }

    private static func writeKeys(_ transaction: OutboxTransaction, _ database: Database) throws {
        for key in transaction.newKeys {
            try database.execute(
                sql: """
                    INSERT INTO api_key (row, fingerprint, sealed, master_key, created_at, pending)
                    VALUES (?, ?, ?, ?, ?, 0)
                    """,
                arguments: [
                    key.row, Data(key.fingerprint.bytes), Data(key.sealed), Data(key.masterKeyIdentifier),
                    transaction.wallMilliseconds,
                ]
            )
        }
        for (row, change) in transaction.pendingByKey where change != 0 {
            try database.cachedStatement(sql: "UPDATE api_key SET pending = pending + ? WHERE row = ?")
                .execute(arguments: [change, row])
        }
        for row in transaction.verifiedKeys {
            try database.cachedStatement(
                sql: "UPDATE api_key SET verified_at = coalesce(verified_at, ?), refused_at = NULL WHERE row = ?"
            ).execute(arguments: [transaction.wallMilliseconds, row])
        }
        for row in transaction.refusedKeys {
            try database.cachedStatement(sql: "UPDATE api_key SET refused_at = ? WHERE row = ?")
                .execute(arguments: [transaction.wallMilliseconds, row])
        }
    }

    private static func writeAccepts(_ transaction: OutboxTransaction, _ database: Database) throws {
        guard !transaction.accepts.isEmpty else { return }
        let insert = try database.cachedStatement(
            sql: """
                INSERT INTO pending_write (
                    sequence, nonce, contact, api_key, method, target, headers, body, stored_bytes,
                    accepted_at, accepted_clock, attempts, is_held, is_ambiguous
                ) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0, 0, 0)
                """
        )
        for accept in transaction.accepts {
            try insert.execute(arguments: [
                accept.write.id.sequence, accept.write.id.nonce, Data(accept.write.contact.bytes),
                accept.write.keyRow, accept.write.method.rawValue, accept.payload.target, accept.headerText,
                Data(accept.payload.body.readableBytesView), accept.write.storedBytes,
                transaction.wallMilliseconds, accept.write.acceptedClock.milliseconds,
            ])
        }
    }

    private static func writeAttempts(_ transaction: OutboxTransaction, _ database: Database) throws {
        for attempt in transaction.attempts {
            try database.cachedStatement(
                sql: """
                    UPDATE pending_write
                    SET attempts = ?, next_attempt_clock = ?, is_held = ?, is_ambiguous = ?, last_error = ?
                    WHERE sequence = ?
                    """
            ).execute(arguments: [
                attempt.attempts, attempt.nextAttempt.milliseconds, attempt.isHeld, attempt.isAmbiguous,
                attempt.lastError, attempt.sequence,
            ])
            try expectOneRow(database, attempt.sequence)
        }
    }

    private static func writeEnds(_ transaction: OutboxTransaction, _ database: Database) throws {
        for end in transaction.ends {
            let keepsBody = end.state == .dead
            try database.cachedStatement(
                sql: """
                    INSERT INTO ended_write
                    SELECT sequence, nonce, ?, contact, api_key, method,
                        iif(?, target, NULL), iif(?, headers, NULL), iif(?, body, NULL),
                        accepted_at, ?, ?, ?, ?, ?, ?, ?, ?
                    FROM pending_write WHERE sequence = ?
                    """
            ).execute(arguments: [
                end.state.endedCode, keepsBody, keepsBody, keepsBody,
                transaction.wallMilliseconds, transaction.clock.milliseconds, end.attempts, end.isAmbiguous,
                end.lastError, end.response?.status, end.response.map { Data($0.body) }, end.supersededBy,
                end.sequence,
            ])
            try expectOneRow(database, end.sequence)
            try database.cachedStatement(sql: "DELETE FROM pending_write WHERE sequence = ?")
                .execute(arguments: [end.sequence])
        }
    }

    /// The books change with the entries; a write that is not where the books have it means that they are wrong.
    private static func expectOneRow(_ database: Database, _ sequence: Int64) throws {
        guard database.changesCount == 1 else {
            throw OutboxError(.damaged, "the pending write \(sequence) is not in the outbox")
        }
    }

    func hasReceipts(endedBefore: RelayTime) throws -> Bool {
        guard let queue else { throw OutboxError(.storage, "\(path) is not open") }
        return try queue.inDatabase { database in
            let statement = try database.cachedStatement(
                sql: "SELECT 1 FROM ended_write WHERE state <> 4 AND ended_clock < ? LIMIT 1"
            )
            return try Int.fetchOne(statement, arguments: [endedBefore.milliseconds]) != nil
        }
    }

    private static func purge(_ transaction: OutboxTransaction, _ database: Database) throws {
        guard let before = transaction.purgeEndedBefore else { return }
        try database.execute(
            sql: """
                DELETE FROM ended_write WHERE sequence IN (
                    SELECT sequence FROM ended_write WHERE state <> 4 AND ended_clock < ?
                    ORDER BY ended_clock LIMIT \(OutboxTransaction.purgeLimit)
                )
                """,
            arguments: [before.milliseconds]
        )
    }

    private static func writeBooks(_ transaction: OutboxTransaction, _ database: Database) throws {
        let counts = transaction.counts
        try database.cachedStatement(
            sql: """
                INSERT OR REPLACE INTO books (
                    one, accepted, pending, held, delivered, rejected, superseded, dead, discarded, stored_bytes,
                    next_sequence, clock_relay, clock_wall
                ) VALUES (1, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
                """
        ).execute(arguments: [
            counts.accepted, counts.pending, counts.held, counts.delivered, counts.rejected, counts.superseded,
            counts.dead, counts.discarded, counts.storedBytes, transaction.nextSequence,
            transaction.clock.milliseconds, transaction.wallMilliseconds,
        ])
    }
}
