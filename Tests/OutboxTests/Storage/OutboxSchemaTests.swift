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
            "UPDATE outbox_schema SET version = 3; ALTER TABLE books ADD COLUMN later TEXT;"
                + "ALTER TABLE ended_write ADD COLUMN later TEXT; INSERT INTO grdb_migrations VALUES ('3')"
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
        #expect(try queue.read { try Int.fetchOne($0, sql: "SELECT version FROM outbox_schema") } == 3)
        try queue.close()
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
