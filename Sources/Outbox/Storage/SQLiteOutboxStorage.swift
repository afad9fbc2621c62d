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

    let path: String
    var progress: () -> Void = {}
    /// Steps of SQLite's machine between two signs of progress: a fraction of a second.
    var progressSteps: Int32 = 100_000
    /// Whether all of the file was found to be whole, and it could not be opened then.
    private var isVerified = false
    private(set) var queue: DatabaseQueue?
    private var reader: SQLiteOutboxReader?
    /// Whether any contact has writes out of order: while none has, a delivery has nothing more to record.
    var hasOrders = false
    /// The files that are open, or were when the outbox failed; nil before it has been opened.
    private var files: OpenFiles?
    private(set) var mark: OutboxMark?
    private var reserve: DiskReserve
    private var sharedMemory: AllocatedFile?

    init(path: String) {
        self.path = path
        let directory = path.lastIndex(of: "/").map { String(path[..<$0]) } ?? "."
        reserve = DiskReserve(path: directory + "/" + DiskReserve.name)
    }

    private var directory: String { path.lastIndex(of: "/").map { String(path[..<$0]) } ?? "." }
    private var markPath: String { directory + "/" + OutboxMark.name }
    private var logPath: String { path + "-wal" }

    /// The open connection; throws when there is none.
    func connection() throws -> DatabaseQueue {
        guard let queue else { throw OutboxError(.storage, "\(path) is not open") }
        return queue
    }

    // MARK: - Opening

    func open(verify: Bool) throws -> OpenedOutbox {
        closeWriter()
        try makeRoom()
        do {
            return try explained { try openChecked(verify: verify) }
        } catch {
            closeWriter()
            throw error
        }
    }

    /// The API keys of an outbox that is not open, read without changing anything: a wrong master key is found out
    /// before the file is touched.
    func storedSecrets() throws -> StoredSecrets {
        try makeRoom()
        return try explained { try prepareFile() }
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
                throw OutboxError(
                    .storage,
                    "cannot open \(path): \(error.message ?? error.resultCode.description)",
                    errorNumber: Self.errorNumber(of: error)
                )
            }
        } catch is RowDecodingError {
            throw OutboxError(.damaged, "\(path) is damaged: a number in it cannot be read; it was left as it is")
        }
    }

    private static func errorNumber(of error: DatabaseError) -> Int32? {
        switch error.resultCode {
        case .SQLITE_FULL: ENOSPC
        case .SQLITE_READONLY: EROFS
        case .SQLITE_IOERR: EIO
        case .SQLITE_PERM, .SQLITE_AUTH: EACCES
        default: nil
        }
    }

    private func openChecked(verify: Bool) throws -> OpenedOutbox {
        var verify = verify
        do {
            // What has to be set aside may be among what is looked at.
            _ = try prepareFile(looksInside: !verify)
        } catch let error where OutboxError.isDamage(error) && !verify {
            guard let error = error as? OutboxError, error.isOfRow else { throw error }
            verify = true
        }
        let queue = try DatabaseQueue(path: path, configuration: Self.writerConfiguration())
        self.queue = queue
        let needsMigration = try queue.read { try !OutboxSchema.isCurrentOrNewer($0, path: path) }
        if needsMigration { try OutboxSchema.migrator.migrate(queue) }
        var setAside: [DamagedWrite] = []
        let opened = try queue.writeWithoutTransaction { database in
            // GRDB sets NORMAL when it turns on the WAL; a commit that is not on disk is no commit (P1).
            try database.execute(sql: "PRAGMA synchronous = FULL")
            guard try Int.fetchOne(database, sql: "PRAGMA synchronous") == 2,
                try String.fetchOne(database, sql: "PRAGMA journal_mode") == "wal"
            else {
                throw OutboxError(.storage, "SQLite does not take synchronous=FULL with a WAL for \(path)")
            }
            return try database.withProgress(steps: progressSteps, progress) {
                if verify {
                    if !isVerified { setAside = try Self.verify(database, path: path) }
                    isVerified = true
                    try Self.checkpoint(database, path: path)
                }
                return try Self.contents(database, path: path)
            }
        }
        // What a process that was killed had written without syncing it is part of the outbox now, and is not to be sent
        // before it is on disk (P1).
        if !verify { try Self.sync(logPath) }
        do throws(FilesFault) {
            try files?.checkDatabase()
            files = try OpenFiles(database: path, log: logPath)
        } catch {
            throw OutboxError(.storage, error.description)
        }
        mark = try OutboxMark(
            at: markPath,
            in: directory,
            position: OutboxMark.Position(nextSequence: opened.nextSequence, clock: opened.relay ?? 0)
        )
        try keepRoom()
        let reader = try SQLiteOutboxReader(path: path)
        self.reader?.close()
        self.reader = reader
        isVerified = false
        hasOrders = opened.hasOrders
        return OpenedOutbox(
            counts: opened.counts,
            nextSequence: opened.nextSequence,
            keys: opened.keys,
            savedRelayClock: opened.relay,
            savedWallClock: opened.wall,
            stoppedContacts: opened.stopped,
            pause: opened.pause,
            setAside: setAside,
            dead: opened.dead,
            reader: reader
        )
    }

    /// Makes the file, for its owner alone (SQLite gives the -wal and -shm files the same mode), or looks at the one
    /// that is there over a connection that changes nothing: turning on the WAL would already write to a database that
    /// is to be refused.
    ///
    /// - Parameter looksInside: Whether to look at the books, too.
    private func prepareFile(looksInside: Bool = false) throws -> StoredSecrets {
        do throws(FilesFault) {
            // Never another one than that which was open: what it holds is not what memory knows.
            try files?.checkDatabase()
        } catch {
            throw OutboxError(.storage, error.description)
        }
        let mark = try OutboxMark.find(at: markPath)
        _ = try presence()
        let descriptor = Glibc.open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
        if descriptor >= 0 {
            Glibc.close(descriptor)
            return StoredSecrets()
        }
        guard errno == EEXIST else {
            throw OutboxError(
                .storage,
                "cannot create \(path): \(OutboxError.text(ofErrno: errno))",
                errorNumber: errno
            )
        }
        var configuration = GRDB.Configuration()
        configuration.readonly = true
        let queue = try DatabaseQueue(path: path, configuration: configuration)
        defer { try? queue.close() }
        return try queue.read { database in
            let isCurrent = try OutboxSchema.isCurrentOrNewer(database, path: path)
            try checkMark(mark, try Self.position(database))
            if looksInside, isCurrent { _ = try Self.contents(database, path: path) }
            return StoredSecrets(
                keys: try database.tableExists("api_key") ? try Self.keys(database) : [],
                vault: try database.tableExists("vault") ? try Self.vault(database) : nil
            )
        }
    }

    /// Whether there is an outbox; throws where there was one, and its database is missing.
    func presence() throws -> OutboxPresence {
        let presence = OutboxPresence(
            databaseBytes: (try? FileIdentity.of(path).get())?.size,
            hasLog: (try? FileIdentity.of(logPath).get()) != nil,
            hasMark: try OutboxMark.find(at: markPath) != nil
        )
        if let fault = presence.fault(databasePath: path) { throw fault }
        return presence
    }

    /// How far an outbox has got, by its books: nowhere, if it has none.
    static func position(_ database: Database) throws -> OutboxMark.Position {
        guard try database.tableExists("books"),
            let row = try Row.fetchOne(database, sql: "SELECT next_sequence, clock_relay FROM books")
        else { return OutboxMark.Position(nextSequence: 1, clock: 0) }
        return OutboxMark.Position(
            nextSequence: try row.value("next_sequence"),
            clock: try row.value("clock_relay")
        )
    }

    /// Refuses an outbox that lacks something of what it once had acknowledged.
    ///
    /// Before it is opened for writing: that would overwrite a damaged log, or empty it at the end.
    private func checkMark(_ mark: OutboxMark.Found?, _ position: OutboxMark.Position) throws {
        guard let known = mark?.position, position.isBehind(known) else { return }
        // The mark is input, too.
        let missing = max(known.nextSequence, position.nextSequence) - position.nextSequence
        let what =
            missing > 0
            ? "at least \(missing) acknowledged writes, from number \(position.nextSequence) on, are not in it"
            : "the last outcomes of deliveries are not in it"
        let reason =
            damageOfLog() ?? "its log \(logPath) is damaged or was removed, or an older copy was put in its place"
        throw OutboxError(
            .damaged,
            "\(path) lacks what was committed: \(what), as \(OutboxMark.name) shows; \(reason). Nothing was changed. Keep a "
                + "copy of both files and put the right ones back; to go on with what is there, and give up what is not, remove \(markPath)"
        )
    }

    /// What is wrong with the log that is there, if anything; whatever is missing by it, the mark decides.
    func damageOfLog() -> String? {
        guard let log = try? Data(contentsOf: URL(fileURLWithPath: logPath), options: .mappedIfSafe) else { return nil }
        let scan = LogScan(log)
        guard scan.hasFramesBehind else { return nil }
        return "its log \(logPath) is damaged behind frame \(scan.frames): what stands behind that is not taken"
    }

    // MARK: - Room

    /// Shared memory for a log of 64 MiB.
    private static let sharedMemoryBytes = 128 << 10

    /// Refuses to open an outbox where the disk is too full to record what would be sent (P1), or to map what SQLite maps.
    func makeRoom() throws {
        _ = reserve.release()
        guard let free = AllocatedFile.freeBytes(at: directory), !DiskReserve.allowsOpening(freeBytes: free) else {
            return
        }
        throw OutboxError(
            .storage,
            "the disk of \(directory) is full: \(free) bytes are free, and the outbox needs "
                + "\(DiskReserve.bytes + DiskReserve.openingBytes) to record what it does",
            errorNumber: ENOSPC
        )
    }

    /// Takes the room that is needed while the outbox is open.
    private func keepRoom() throws {
        do throws(AllocatedFile.Failure) {
            // A reader that is still there has it open, too: then it is the same file.
            let path = path + "-shm"
            if sharedMemory?.isAt(path) != true {
                sharedMemory = try AllocatedFile(path: path, bytes: Self.sharedMemoryBytes)
            }
        } catch {
            throw OutboxError(
                .storage,
                "no room for the shared memory of \(path): \(error)",
                errorNumber: error.errorNumber
            )
        }
        guard reserve.fill() else {
            throw OutboxError(
                .storage,
                "the disk of \(directory) is full: no room for \(DiskReserve.name)",
                errorNumber: ENOSPC
            )
        }
    }

    func fillReserve() -> Bool { reserve.fill() }

    func releaseReserve() -> Bool { reserve.release() }

    // MARK: - Files

    func look() throws(FilesFault) { try files?.look() }

    func settle() {
        try? queue?.writeWithoutTransaction { database in
            _ = try Row.fetchOne(database, sql: "PRAGMA wal_checkpoint(FULL)")
        }
    }

    private static func writerConfiguration() -> GRDB.Configuration {
        var configuration = GRDB.Configuration()
        configuration.journalMode = .wal
        configuration.label = "outbox"
        configuration.prepareDatabase { database in
            database.add(function: WriteChecksum.function)
            try database.execute(
                sql: """
                    PRAGMA secure_delete = ON;
                    PRAGMA temp_store = MEMORY;
                    PRAGMA cache_size = -8192;
                    PRAGMA wal_autocheckpoint = \(checkpointPages);
                    PRAGMA journal_size_limit = 67108864;
                    """
            )
        }
        return configuration
    }

    /// Sets aside what cannot be read, or changes nothing and throws where that is not enough.
    private static func verify(_ database: Database, path: String) throws -> [DamagedWrite] {
        // A write that is lost must not be found by what refers to it.
        try database.execute(sql: "PRAGMA foreign_keys = OFF")
        defer { try? database.execute(sql: "PRAGMA foreign_keys = ON") }
        var found: [DamagedWrite] = []
        try database.inTransaction(.immediate) {
            let isWhole = try integrity(database) == "ok"
            // Indexes follow from the rows.
            if !isWhole { try database.execute(sql: "REINDEX") }
            found = try setAside(database)
            let finding = isWhole && found.isEmpty ? "ok" : try integrity(database)
            guard finding == "ok" else {
                throw OutboxError(.damaged, "\(path) is damaged (\(finding)); it was left as it is")
            }
            _ = try contents(database, path: path)
            return .commit
        }
        return found
    }

    private static func integrity(_ database: Database) throws -> String {
        try String.fetchOne(database, sql: "PRAGMA integrity_check(1)") ?? "no answer"
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
            throw OutboxError(.storage, "cannot open \(path): \(OutboxError.text(ofErrno: errno))", errorNumber: errno)
        }
        defer { Glibc.close(descriptor) }
        guard fdatasync(descriptor) == 0 else {
            throw OutboxError(.storage, "cannot sync \(path): \(OutboxError.text(ofErrno: errno))", errorNumber: errno)
        }
    }

    func close() {
        // The reader goes first: the last connection to close checkpoints, and that must be the one that commits.
        reader?.close()
        reader = nil
        closeWriter()
        // Not before: to close it ends SQLite's locks.
        sharedMemory = nil
    }

    /// Closes the connection that writes, after a failure: what is committed can still be read.
    func closeWriter() {
        try? queue?.close()
        queue = nil
    }
}
