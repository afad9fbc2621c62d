import DexatelAPI
import Foundation
import GRDB
import Testing

@testable import Outbox

/// What goes when nobody needs it any more, and what stays (design §8).
@Suite struct HousekeepingTests {
    private let directory: TemporaryDirectory
    private let storage: SQLiteOutboxStorage
    private let day: Int64 = 86_400_000

    init() throws {
        directory = try TemporaryDirectory()
        storage = SQLiteOutboxStorage(path: directory.database)
    }

    private func housekeeping() -> Housekeeping {
        Housekeeping(
            settings: .init(
                stateDirectory: directory.path,
                minFreeDiskBytes: 0,
                keepReceiptsMilliseconds: day,
                maxAgeMilliseconds: 7 * day
            ),
            now: 5_000
        )
    }

    private func keys() throws -> [StoredKey] { try storage.withConnection(SQLiteOutboxStorage.keys) ?? [] }

    @Test func `a key's seal goes a day after its last write, and the key is remembered for 90 more`() throws {
        _ = try storage.open(verify: false)
        var books = StorageBooks()
        let write = books.accept(1, payload: Sample.payload("{}"))
        _ = try storage.commit(books.take())
        #expect(try storage.idleKeys(since: 1_000_000_000, limit: 10) == [], "something is pending")
        books.end(write.sequence, as: .delivered)
        var transaction = books.take()
        transaction.verifiedKeys = [1]
        _ = try storage.commit(transaction)
        #expect(try storage.idleKeys(since: 5_000, limit: 10) == [])
        #expect(try storage.idleKeys(since: 5_001, limit: 10) == [1])
        var unsealed = books.take()
        unsealed.unsealedKeys = [1]
        _ = try storage.commit(unsealed)
        #expect(try keys().map(\.sealed) == [nil])
        #expect(try storage.forgettableKeys(unverifiedSince: 5_001, since: 5_000, limit: 10) == [])
        #expect(try storage.forgettableKeys(unverifiedSince: 0, since: 5_001, limit: 10) == [1])
        #expect(try storage.forgetKeys([1]) == 0)
        #expect(try keys().isEmpty)
        let isOn = try storage.withConnection { try Int.fetchOne($0, sql: "PRAGMA foreign_keys") }
        #expect(isOn == 1)
        storage.close()
    }

    /// What housekeeping does about keys at a time, after everything else that is due.
    private func keyTask(at now: Int64, keepReceipts: Int64? = nil) throws -> String? {
        var housekeeping = housekeeping()
        if let keepReceipts { housekeeping.settings.keepReceiptsMilliseconds = keepReceipts }
        switch try housekeeping.next(storage, unverifiedKeys: 0, now: RelayTime(milliseconds: now)) {
        case .operation: return "unseal"
        case .forget(let rows): return "forget \(rows)"
        case .purge: return "purge"
        case .saveClock, .expire, .look, nil: return nil
        }
    }

    /// A key that has been idle since 5 000, with its receipt gone.
    private func makeIdleKey(isVerified: Bool, isSealed: Bool) throws {
        _ = try storage.open(verify: false)
        var books = StorageBooks()
        let write = books.accept(1, payload: Sample.payload("{}"))
        _ = try storage.commit(books.take())
        books.end(write.sequence, as: isVerified ? .delivered : .rejected)
        var transaction = books.take()
        if isVerified { transaction.verifiedKeys = [1] }
        _ = try storage.commit(transaction)
        var purge = books.take()
        purge.purgeEndedBefore = 5_001
        if !isSealed { purge.unsealedKeys = [1] }
        #expect(try storage.commit(purge).purged == 1)
    }

    @Test(arguments: [true, false])
    func `a key is unsealed when it has been idle for more than a day`(_ isVerified: Bool) throws {
        try makeIdleKey(isVerified: isVerified, isSealed: true)
        #expect(try keyTask(at: 5_000 + day) == nil)
        #expect(try keyTask(at: 5_001 + day) == "unseal")
        storage.close()
    }

    @Test func `a key that the upstream took is forgotten 90 days after its seal`() throws {
        try makeIdleKey(isVerified: true, isSealed: false)
        #expect(try keyTask(at: 5_001 + 2 * day) == nil)
        #expect(try keyTask(at: 5_000 + 91 * day) == nil)
        #expect(try keyTask(at: 5_001 + 91 * day) == "forget [1]")
        #expect(try keyTask(at: 5_001 + 91 * day, keepReceipts: 46 * day) == nil, "its receipts may be there yet")
        #expect(try keyTask(at: 5_001 + 92 * day, keepReceipts: 46 * day) == "forget [1]")
        storage.close()
    }

    @Test func `a key that the upstream never took is forgotten after two days, or twice writes.keep_receipts`() throws
    {
        try makeIdleKey(isVerified: false, isSealed: false)
        #expect(try keyTask(at: 5_000 + 2 * day) == nil)
        #expect(try keyTask(at: 5_001 + 2 * day) == "forget [1]")
        #expect(try keyTask(at: 5_000 + 6 * day, keepReceipts: 3 * day) == nil)
        #expect(try keyTask(at: 5_001 + 6 * day, keepReceipts: 3 * day) == "forget [1]")
        #expect(try keyTask(at: 5_001 + 2 * day, keepReceipts: 0) == "forget [1]")
        storage.close()
    }

    @Test func `keys are looked after every ten minutes, and room is made for others at once`() throws {
        try makeIdleKey(isVerified: false, isSealed: false)
        var housekeeping = housekeeping()
        let late = RelayTime(milliseconds: 5_000 + 2 * day)
        #expect(try housekeeping.next(storage, unverifiedKeys: 0, now: late).isKeyTask == false)
        #expect(try housekeeping.next(storage, unverifiedKeys: 0, now: late + 599_999).isKeyTask == false)
        #expect(try housekeeping.next(storage, unverifiedKeys: 0, now: late + 600_000).isKeyTask == true)
        housekeeping.settings.maxUnverifiedKeys = 80
        #expect(try housekeeping.next(storage, unverifiedKeys: 70, now: 5_001).isKeyTask == false)
        #expect(try housekeeping.next(storage, unverifiedKeys: 71, now: 5_001).isKeyTask == true, "an eighth is free")
        storage.close()
    }

    @Test func `a dead write keeps its key sealed, and a refusal is remembered without a seal`() throws {
        _ = try storage.open(verify: false)
        var books = StorageBooks()
        let write = books.accept(1, payload: Sample.payload("{}"))
        _ = try storage.commit(books.take())
        books.end(write.sequence, as: .dead)
        var transaction = books.take()
        transaction.refusedKeys = [1]
        _ = try storage.commit(transaction)
        #expect(try storage.idleKeys(since: .init(milliseconds: .max), limit: 10) == [])
        books.bury(write.sequence)
        var unsealed = books.take()
        unsealed.unsealedKeys = [1]
        _ = try storage.commit(unsealed)
        let registry = KeyRegistry(vault: Sample.vault)
        try registry.load(keys())
        let key = registry.key(for: Secret("api-key-1"))
        #expect(key.current.isRefused && key.current.row == 1 && !key.current.isSealed)
        storage.close()
    }

    @Test func `the steps come in order, and an idle outbox saves its clock and empties its log`() throws {
        _ = try storage.open(verify: false)
        var books = StorageBooks()
        let gone = books.accept(1, payload: Sample.payload("{}")).sequence
        let held = books.accept(2, payload: Sample.payload("{}")).sequence
        _ = try storage.commit(books.take())
        books.end(gone, as: .delivered)
        books.move(held, to: .overtaken)
        _ = try storage.commit(books.take())
        var housekeeping = housekeeping()
        #expect(try housekeeping.next(storage, unverifiedKeys: 0, now: 5_500) == nil)
        let wal = directory.path + "/outbox.sqlite-wal"
        #expect(try directory.bytes("outbox.sqlite-wal").count > 0, "\(wal)")
        #expect(try housekeeping.next(storage, unverifiedKeys: 0, now: 6_500) == nil)
        #expect(try directory.bytes("outbox.sqlite-wal").isEmpty)
        guard case .saveClock? = try housekeeping.next(storage, unverifiedKeys: 0, now: 70_000) else {
            Issue.record("the clock is to be saved")
            return
        }
        let nextDay = RelayTime(milliseconds: day + 5_001)
        guard case .purge(5_001)? = try housekeeping.next(storage, unverifiedKeys: 0, now: nextDay) else {
            Issue.record("the receipt is to go")
            return
        }
        var purge = books.take()
        purge.purgeEndedBefore = 5_001
        #expect(try storage.commit(purge).purged == 1)
        let late = RelayTime(milliseconds: 7 * day + 5_001)
        guard case .expire? = try housekeeping.next(storage, unverifiedKeys: 0, now: late) else {
            Issue.record("the held write is to die")
            return
        }
        storage.close()
    }
}

extension Housekeeping.Task? {
    fileprivate var isKeyTask: Bool {
        if case .forget? = self { true } else { false }
    }
}
