import DexatelAPI
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
            case 0: books.move(row, to: .key)
            case 1: books.attempt(row, hold: .write, next: RelayTime(milliseconds: Int64(9_000 - index)))
            case 2: books.move(row, to: .contact)
            case 3: books.move(row, to: .queued)
            case 4: books.move(row, to: .overtaken)
            default: break
            }
        }
        _ = try storage.commit(books.take())
        func found(_ selection: StoredSelection, _ limit: Int = 10) throws -> [Int64] {
            try storage.writes(selection, limit: limit).map(\.write.sequence)
        }
        #expect(try found(.keys([1], .key)) == [1, 7])
        #expect(try found(.keys([2, 1], .key), 1) == [1])
        #expect(try found(.keys([1], .write)) == [2, 8])
        #expect(try found(.due(8_992)) == [])
        #expect(try found(.due(8_993)) == [8])
        #expect(try found(.due(9_000)) == [8, 2])
        #expect(try storage.nextHeldWriteDue() == 8_993)
        #expect(try found(.contact(Sample.contact(2))) == [3])
        #expect(try found(.queued) == [4, 10])
        #expect(try found(.heldAcceptedBefore(5_000)) == [])
        #expect(try found(.heldAcceptedBefore(5_001)).count == 10)
        storage.close()
    }

    @Test func `a read of the backlog steps over what is held, a bounded number of rows at a time`() async throws {
        let reader = try storage.open(verify: false).reader
        var books = StorageBooks()
        let count = SQLiteOutboxReader.maxScannedRows + 10
        let rows = try accept(&books, count)
        for row in rows.dropLast(5) { books.move(row, to: .key) }
        _ = try storage.commit(books.take())
        let first = try await reader.pendingWrites(PendingRows(after: 0, limit: 100))
        #expect(first == PendingPart(writes: [], upTo: Int64(SQLiteOutboxReader.maxScannedRows)))
        let second = try await reader.pendingWrites(PendingRows(after: first.upTo ?? 0, limit: 3))
        #expect(second.writes.map(\.sequence) == Array(rows.suffix(5).prefix(3)) && second.upTo == rows[count - 3])
        let third = try await reader.pendingWrites(PendingRows(after: second.upTo ?? 0, limit: 3))
        #expect(third.writes.map(\.sequence) == Array(rows.suffix(2)) && third.upTo == nil)
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
