import Foundation
import GRDB
import Testing

@testable import Outbox

/// What is not an outbox that this release reads is refused, and left as it is (design §8).
@Suite struct OutboxSchemaTests {
    private let directory: TemporaryDirectory

    init() throws { directory = try TemporaryDirectory() }

    private func expectRefused(_ code: OutboxError.Code, verify: Bool = false) throws {
        let before = try directory.bytes("outbox.sqlite")
        let error = #expect(throws: OutboxError.self) {
            try SQLiteOutboxStorage(path: directory.database).open(verify: verify)
        }
        #expect(error?.code == code, "\(error.map(String.init(describing:)) ?? "nothing")")
        #expect(try directory.bytes("outbox.sqlite") == before, "the file must be left byte-identical")
    }

    private func makeOutbox(_ writes: Int = 300) throws {
        let storage = SQLiteOutboxStorage(path: directory.database)
        _ = try storage.open(verify: false)
        var books = StorageBooks()
        for number in 0..<writes {
            _ = books.accept(number, payload: Sample.payload(String(repeating: "z", count: 300)))
        }
        _ = try storage.commit(books.take())
        storage.close()
    }

    private func change(_ sql: String) throws {
        let queue = try DatabaseQueue(path: directory.database)
        try queue.writeWithoutTransaction { try $0.execute(sql: sql) }
        try queue.close()
    }

    private func column(_ sql: String) throws -> [String?] {
        let queue = try DatabaseQueue(path: directory.database)
        defer { try? queue.close() }
        return try queue.read { try String?.fetchAll($0, sql: sql) }
    }

    @Test func `a garbage file is refused`() throws {
        try Data((0..<10_000).map { UInt8(truncatingIfNeeded: $0 &* 37 &+ 11) })
            .write(to: URL(fileURLWithPath: directory.database))
        try expectRefused(.damaged)
    }

    @Test(arguments: [1, 2])
    func `a truncated outbox is refused`(_ kept: Int) throws {
        try makeOutbox()
        let content = try directory.bytes("outbox.sqlite")
        #expect(content.count > 4 * 4_096)
        try content.prefix(kept == 1 ? 4_096 : content.count / 2).write(to: URL(fileURLWithPath: directory.database))
        try expectRefused(.damaged)
    }

    @Test(arguments: ["DELETE", "WAL"])
    func `somebody else's SQLite database is refused`(_ journal: String) throws {
        try change("PRAGMA journal_mode = \(journal); CREATE TABLE mine (x); INSERT INTO mine VALUES (1)")
        try expectRefused(.damaged)
    }

    @Test func `an empty database with another application's mark is refused`() throws {
        try change("PRAGMA application_id = 77; VACUUM")
        try expectRefused(.damaged)
    }

    @Test func `a schema that admits no reader of this version is refused`() throws {
        try makeOutbox()
        try change("UPDATE outbox_schema SET version = 99, oldest_reader = 99")
        try expectRefused(.schemaTooNew)
        try expectRefused(.schemaTooNew, verify: true)
    }

    @Test func `a schema one step newer opens, is not migrated, and takes writes`() throws {
        try makeOutbox(3)
        try change(
            "UPDATE outbox_schema SET version = 4; ALTER TABLE books ADD COLUMN later TEXT;"
                + "ALTER TABLE ended_write ADD COLUMN later TEXT; INSERT INTO grdb_migrations VALUES ('4')"
        )
        let storage = SQLiteOutboxStorage(path: directory.database)
        #expect(try storage.open(verify: true).counts.pending == 3)
        var transaction = OutboxTransaction()
        transaction.counts.accepted = 3
        transaction.counts.pending = 3
        transaction.nextSequence = 4
        _ = try storage.commit(transaction)
        storage.close()
        let queue = try DatabaseQueue(path: directory.database)
        #expect(try queue.read { try Int.fetchOne($0, sql: "SELECT version FROM outbox_schema") } == 4)
        try queue.close()
    }

    @Test func `an outbox one step newer is worked on as any other, and keeps what only the newer release knows`()
        async throws
    {
        let replies = Replies()
        replies.contact(1, Sample.unreachable)
        replies.contact(2, Sample.outcome(422))
        replies.contact(3, Sample.outcome(403))
        func rig() throws -> OutboxRig {
            try OutboxRig(directory, replies.transport) {
                $0.maxReceipts = 2
                $0.holdProbeMilliseconds = 20
            }
        }
        let older = try rig()
        for contact in 1...3 { try await older.accept(UInt64(contact), contact) }
        try await older.counts("a dead and a held write") { $0.dead == 1 && $0.held == 1 }
        await older.stop()
        let tables = ["books", "api_key", "vault", "contact_order", "pending_write", "ended_write"]
        try change(
            "UPDATE outbox_schema SET version = 4; INSERT INTO grdb_migrations VALUES ('4');"
                + "CREATE TABLE later (one INTEGER PRIMARY KEY) STRICT; INSERT INTO later VALUES (1);"
                + tables.map {
                    "ALTER TABLE \($0) ADD COLUMN later TEXT DEFAULT 'new'; UPDATE \($0) SET later = 'kept';"
                }
                .joined()
        )
        let rig = try rig()
        for contact in 1...3 { replies.contact(contact, nil) }
        try await rig.counts("all to go on") { $0.pending == 0 && $0.delivered == 2 }
        #expect(try await rig.outbox.retry(WriteSelection(states: [.dead])).changed == 1)
        try await rig.counts("the dead one to be delivered") { $0.delivered == 3 && $0.dead == 0 }
        for token in 10...19 as ClosedRange<UInt64> { try await rig.accept(token, Int(token), key: "another") }
        let counts = try await rig.counts("all to be delivered") { $0.delivered == 13 }
        #expect(counts.receipts == 2 && counts.isBalanced)
        #expect(try await rig.findings() == [])
        await rig.stop()
        #expect(try column("SELECT later FROM books") == ["kept"])
        #expect(try column("SELECT later FROM vault") == ["kept"])
        #expect(try column("SELECT later FROM api_key ORDER BY row") == ["kept", "new"])
        #expect(try column("SELECT version FROM outbox_schema") == ["4"])
        #expect(try column("SELECT one FROM later") == ["1"])
    }

    @Test func `a new master key leaves what a newer release keeps beside it`() async throws {
        let rig = try OutboxRig(directory, Replies().transport)
        rig.submit(1, 1)
        #expect(try await rig.answer(1).status == 200)
        await rig.stop()
        try change("ALTER TABLE vault ADD COLUMN later TEXT; UPDATE vault SET later = 'kept'")
        let path = directory.path + "/master.key"
        try FileManager.default.moveItem(atPath: path, toPath: path + ".previous")
        try Data(repeating: 7, count: MasterKey.byteCount).write(to: URL(fileURLWithPath: path))
        let again = try OutboxRig(directory, Replies().transport)
        await again.stop()
        #expect(try column("SELECT later FROM vault") == ["kept"])
        #expect(try column("SELECT count(*) FROM vault") == ["1"])
    }

    @Test func `books that do not balance are refused`() throws {
        try makeOutbox(3)
        try change("UPDATE books SET pending = 2")
        let error = #expect(throws: OutboxError.self) {
            try SQLiteOutboxStorage(path: directory.database).open(verify: false)
        }
        #expect(error?.code == .damaged)
    }

    @Test func `a directory that is not there is a storage error`() throws {
        let storage = SQLiteOutboxStorage(path: directory.path + "/nowhere/outbox.sqlite")
        let error = #expect(throws: OutboxError.self) { try storage.open(verify: false) }
        #expect(error?.code == .storage)
    }
}
