import DexatelAPI
import GRDB
import NIOCore
import NIOHTTP1
import Testing

@testable import Outbox

/// Rows that are held are found by what they are held for, and stepped over by everything else.
@Suite struct HeldRowTests {
    private let directory: TemporaryDirectory
    private let storage: SQLiteOutboxStorage

    init() throws {
        directory = try TemporaryDirectory()
        storage = SQLiteOutboxStorage(path: directory.database)
    }

    private func accept(_ books: inout StorageBooks, _ count: Int) throws -> [Int64] {
        let writes = (0..<count).map { books.accept($0 % 5, payload: Sample.payload("{}")).sequence }
        _ = try storage.commit(books.take())
        return writes
    }

    @Test func `each selection finds its own, in order, as many as asked for`() throws {
        _ = try storage.open(verify: false)
        var books = StorageBooks()
        let rows = try accept(&books, 12)
        for (index, row) in rows.enumerated() {
            switch index % 6 {
            case 0: books.move(row, to: .unexpected)
            case 1: books.attempt(row, hold: .write, next: RelayTime(milliseconds: Int64(9_000 - index)))
            case 2, 3, 4: books.move(row, to: .overtaken)
            default: break
            }
        }
        _ = try storage.commit(books.take())
        func found(_ selection: StoredSelection, _ limit: Int = 10) throws -> [Int64] {
            try storage.writes(selection, limit: limit).map(\.write.sequence)
        }
        #expect(try found(.keys([1], .unexpected)) == [1, 7])
        #expect(try found(.keys([2, 1], .unexpected), 1) == [1])
        #expect(try found(.keys([1], .write)) == [2, 8])
        #expect(try found(.due(8_992)) == [])
        #expect(try found(.due(8_993)) == [8])
        #expect(try found(.due(9_000)) == [8, 2])
        #expect(try storage.nextHeldWriteDue() == 8_993)
        storage.close()
    }

    @Test func `old writes are found in order, past younger ones that were retried, a bounded number at a time`() throws
    {
        _ = try storage.open(verify: false)
        var books = StorageBooks()
        let rows = try accept(&books, 1_500)
        books.end(rows[0], as: .dead)
        _ = try storage.commit(books.take())
        try storage.withConnection { try $0.execute(sql: "UPDATE ended_write SET ended_clock = 9000") }
        books.revive(rows[0], payload: Sample.payload("{}"))
        _ = try storage.commit(books.take())
        #expect(try storage.oldWrites(acceptedBefore: 5_000, after: 0) == ([], nil))
        let first = try storage.oldWrites(acceptedBefore: 5_001, after: 0)
        #expect(first.writes.count >= 1_023 && first.next == rows[1_023])
        let second = try storage.oldWrites(acceptedBefore: 5_001, after: rows[1_023])
        #expect(second.writes.map(\.sequence) == Array(rows[1_024...]) && second.next == nil)
        storage.close()
    }

    @Test func `what is delivered is remembered for contacts with writes out of order, and only as long as they are`()
        throws
    {
        _ = try storage.open(verify: false)
        var books = StorageBooks()
        let held = books.accept(1, payload: Sample.payload("{}")).sequence
        let payload = WritePayload(target: "/", headers: [:], body: .init(string: #"{"data":{"date":"1","tags":2}}"#))
        let later = books.accept(1, payload: payload).sequence
        let elsewhere = books.accept(2, payload: payload).sequence
        _ = try storage.commit(books.take())
        books.move(held, to: .key)
        books.end(later, as: .delivered)
        books.end(elsewhere, as: .delivered)
        _ = try storage.commit(books.take())
        let order = try #require(try storage.order(of: Sample.contact(1)))
        #expect(order.last == later && order.whole == 0 && order.fields == ["date": later, "tags": later])
        #expect(try storage.order(of: Sample.contact(2)) == nil)
        books.end(held, as: .dead)
        _ = try storage.commit(books.take())
        #expect(try storage.order(of: Sample.contact(1)) == order)
        books.bury(held)
        _ = try storage.commit(books.take())
        #expect(try storage.order(of: Sample.contact(1)) == nil)
        storage.close()
    }
}

private func == (
    left: (writes: [PendingWrite], next: Int64?),
    right: ([PendingWrite], Int64?)
) -> Bool {
    left.writes == right.0 && left.next == right.1
}
