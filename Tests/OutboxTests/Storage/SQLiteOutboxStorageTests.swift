import DexatelAPI
import Foundation
import GRDB
import NIOCore
import NIOHTTP1
import TestSupport
import Testing

@testable import Outbox

@Suite struct SQLiteOutboxStorageTests {
    private let directory: TemporaryDirectory

    init() throws { directory = try TemporaryDirectory() }

    private func storage() -> SQLiteOutboxStorage { SQLiteOutboxStorage(path: directory.database) }

    /// Reads the closed file beside the storage.
    private func sql<Value: DatabaseValueConvertible>(_ query: String, as type: Value.Type) throws -> Value? {
        let queue = try DatabaseQueue(path: directory.database)
        defer { try? queue.close() }
        return try queue.read { try Value.fetchOne($0, sql: query) }
    }

    @Test func `a write reads back byte for byte`() async throws {
        let storage = storage()
        let opened = try storage.open(verify: false)
        var books = StorageBooks()
        var body = ByteBuffer(bytes: (0...255).map { UInt8($0) })
        body.moveReaderIndex(forwardBy: 3)
        let payload = WritePayload(
            target: "/v1/audiences/A/contacts/B?x=%2F&y=ü",
            headers: ["Content-Type": "application/json", "X-Empty": "", "X-Two": "a: b"],
            body: body
        )
        let write = books.accept(3, payload: payload, method: .delete, nonce: -7)
        _ = try storage.commit(books.take())
        let stored = try #require(try storage.write(1))
        #expect(stored.write == write && stored.payload == payload && !stored.isDead)
        #expect(try storage.write(2) == nil)
        let receipt = try #require(try await opened.reader.receipt(write.id))
        #expect(receipt.state == .pending && receipt.contact == write.contact && receipt.method == .delete)
        let stranger = WriteID(sequence: write.id.sequence, nonce: 8)
        #expect(try await opened.reader.receipt(stranger) == nil)
        storage.close()
        let again = try storage.open(verify: true)
        #expect(try storage.write(1)?.write == write)
        #expect(again.nextSequence == 2)
        #expect(again.counts == books.counts)
        #expect(again.savedRelayClock == 5_000)
        storage.close()
    }

    @Test(arguments: 1...3)
    func `the books are the rows, whatever was committed`(_ seed: Int) async throws {
        var random = SeededGenerator(seed: UInt64(seed))
        let storage = storage()
        _ = try storage.open(verify: false)
        var books = StorageBooks()
        for _ in 0..<60 {
            for _ in 0..<Int.random(in: 0...8, using: &random) {
                _ = books.accept(Int.random(in: 0..<5, using: &random), payload: Sample.payload("{\"a\":1}"))
            }
            for _ in 0..<Int.random(in: 0...6, using: &random) {
                guard let write = books.pending.values.randomElement(using: &random) else { continue }
                if Bool.random(using: &random) {
                    books.attempt(write.id.sequence, hold: Bool.random(using: &random) ? .write : .none)
                } else {
                    let states: [WriteState] = [.delivered, .rejected, .superseded, .dead, .discarded]
                    books.end(write.id.sequence, as: states[Int.random(in: 0..<5, using: &random)])
                }
            }
            _ = try storage.commit(books.take())
        }
        storage.close()
        let counts = try storage.open(verify: true).counts
        storage.close()
        // Holds are counted by those who know of keys and contacts; here from the rows.
        var expected = books.counts
        expected.held = try sql("SELECT count(*) FROM pending_write WHERE hold <> 0", as: Int64.self) ?? -1
        #expect(counts == expected && counts.isBalanced)
        #expect(try sql("SELECT count(*) FROM pending_write", as: Int64.self) == counts.pending)
        #expect(
            try sql("SELECT held FROM api_key", as: Int64.self)
                == sql("SELECT count(*) FROM pending_write WHERE hold <> 0", as: Int64.self)
        )
        for (state, count) in [
            (WriteState.delivered, counts.delivered), (.rejected, counts.rejected), (.superseded, counts.superseded),
            (.dead, counts.dead), (.discarded, counts.discarded),
        ] {
            let code = try #require(state.endedCode)
            #expect(try sql("SELECT count(*) FROM ended_write WHERE state = \(code)", as: Int64.self) == count)
        }
        let dead = try sql("SELECT total(length(body)) FROM ended_write WHERE state = 4", as: Int64.self)
        #expect(dead == counts.dead * 7, "a dead write keeps its body")
        #expect(try sql("SELECT count(*) FROM ended_write WHERE state <> 4 AND body IS NOT NULL", as: Int64.self) == 0)
        #expect(try sql("SELECT sum(pending) FROM api_key", as: Int64.self) == counts.pending)
    }

    @Test func `a change of a write that is not there changes nothing at all`() throws {
        let storage = storage()
        _ = try storage.open(verify: false)
        var books = StorageBooks()
        let write = books.accept(1, payload: Sample.payload("{}"))
        _ = try storage.commit(books.take())
        let before = books.counts
        books.end(write.id.sequence, as: .delivered)
        var transaction = books.take()
        transaction.ends.append(transaction.ends[0])
        #expect(throws: OutboxError.self) { try storage.commit(transaction) }
        #expect(try storage.open(verify: true).counts == before)
        storage.close()
    }

    @Test func `a body is gone from the files once its write has ended, but kept while it is dead`() throws {
        let storage = storage()
        _ = try storage.open(verify: false)
        var books = StorageBooks()
        for number in 0..<200 { _ = books.accept(number, payload: Sample.payload("{\"filler\":\"other-\(number)\"}")) }
        let delivered = books.accept(1, payload: Sample.payload("{\"n\":\"planted-delivered\"}"))
        let long = "planted-long" + String(repeating: "y", count: 20_000)
        let rejected = books.accept(2, payload: Sample.payload(long))
        let dead = books.accept(3, payload: Sample.payload("{\"n\":\"planted-dead\"}"))
        _ = try storage.commit(books.take())
        #expect(try !directory.files(containing: "planted-delivered").isEmpty)
        books.end(delivered.id.sequence, as: .delivered)
        books.end(rejected.id.sequence, as: .rejected)
        books.end(dead.id.sequence, as: .dead)
        _ = try storage.commit(books.take())
        storage.close()
        #expect(try directory.files(containing: "planted-delivered") == [])
        #expect(try directory.files(containing: "planted-long") == [])
        #expect(try directory.files(containing: "planted-dead") == ["outbox.sqlite"])
    }

    @Test func `receipts are purged by age, dead writes never`() async throws {
        let storage = storage()
        let opened = try storage.open(verify: false)
        var books = StorageBooks()
        let gone = books.accept(1, payload: Sample.payload("{}"))
        let dead = books.accept(2, payload: Sample.payload("{}"))
        _ = try storage.commit(books.take())
        books.end(gone.id.sequence, as: .delivered)
        books.end(dead.id.sequence, as: .dead)
        _ = try storage.commit(books.take())
        #expect(try !storage.hasReceipts(endedBefore: 5_000))
        #expect(try storage.hasReceipts(endedBefore: 5_001))
        var purge = books.take()
        purge.purgeEndedBefore = 5_001
        _ = try storage.commit(purge)
        #expect(try await opened.reader.receipt(gone.id) == nil)
        #expect(try await opened.reader.receipt(dead.id)?.state == .dead)
        #expect(try !storage.hasReceipts(endedBefore: 1_000_000))
        storage.close()
    }

    @Test func `a commit is on disk when it returns: FULL, WAL, for the owner alone`() throws {
        let storage = storage()
        _ = try storage.open(verify: false)
        var books = StorageBooks()
        _ = books.accept(1, payload: Sample.payload("{}"))
        _ = try storage.commit(books.take())
        let pragmas = try storage.withConnection { database in
            let synchronous = try Int.fetchOne(database, sql: "PRAGMA synchronous")
            let journal = try String.fetchOne(database, sql: "PRAGMA journal_mode")
            let scrubbing = try Int.fetchOne(database, sql: "PRAGMA secure_delete")
            let keys = try Int.fetchOne(database, sql: "PRAGMA foreign_keys")
            return (synchronous, journal, scrubbing, keys)
        }
        #expect(pragmas?.0 == 2)
        #expect(pragmas?.1 == "wal")
        #expect(pragmas?.2 == 1)
        #expect(pragmas?.3 == 1)
        for name in ["outbox.sqlite", "outbox.sqlite-wal", "outbox.sqlite-shm"] {
            #expect(try directory.mode(of: name) == 0o600, "\(name)")
        }
        storage.close()
    }

    @Test func `reads fail once the database is closed, however many there are`() async throws {
        let storage = storage()
        let reader = try storage.open(verify: false).reader
        var books = StorageBooks()
        for number in 0..<50 { _ = books.accept(number, payload: Sample.payload("{}")) }
        _ = try storage.commit(books.take())
        await withTaskGroup(of: Void.self) { group in
            for _ in 0..<4 {
                group.addTask {
                    // Until the database is closed under it.
                    while (try? await reader.hasPending(Sample.contact(7))) == true {}
                }
            }
            storage.close()
        }
        await #expect(throws: OutboxError.self) { try await reader.oldestPendingAcceptedClock() }
        await #expect(throws: OutboxError.self) { try await reader.hasPending(Sample.contact(7)) }
    }

    @Test func `a reader cannot write`() throws {
        let storage = storage()
        _ = try storage.open(verify: false)
        let reader = try SQLiteOutboxReader(path: directory.database)
        #expect(throws: DatabaseError.self) {
            try reader.withConnection { try $0.execute(sql: "DELETE FROM outbox_schema") }
        }
        #expect(throws: DatabaseError.self) {
            try reader.withConnection { try $0.execute(sql: "PRAGMA wal_checkpoint(TRUNCATE); CREATE TABLE t (x)") }
        }
        reader.close()
        storage.close()
    }
}

extension SQLiteOutboxStorage {
    /// Runs on the storage's own connection, which no other way leads to.
    func withConnection<Result>(_ body: (Database) throws -> Result) throws -> Result? {
        let queue = Mirror(reflecting: self).descendant("queue") as? DatabaseQueue
        return try queue?.inDatabase(body)
    }
}

extension SQLiteOutboxReader {
    /// Runs on the reader's own connection.
    func withConnection(_ body: (Database) throws -> Void) throws {
        guard let queue = Mirror(reflecting: self).descendant("queue") as? DatabaseQueue else {
            throw DeadlinePassed(description: "the reader has no connection")
        }
        try queue.inDatabase(body)
    }
}
