import Foundation
import Glibc
import TestSupport
import Testing

@testable import Outbox

/// An outbox is never made anew where there was one, and never taken for whole when it lacks something (P1).
@Suite struct OutboxMarkTests {
    private let directory: TemporaryDirectory

    init() throws { directory = try TemporaryDirectory() }

    private var markPath: String { directory.path + "/" + OutboxMark.name }

    /// Makes an outbox with so many writes; killed, its log stays.
    private func makeOutbox(_ count: Int, isKilled: Bool = false) throws {
        let storage = SQLiteOutboxStorage(path: directory.database)
        _ = try storage.open(verify: false)
        var books = StorageBooks()
        for number in 0..<count {
            _ = books.accept(number, payload: Sample.payload("{}"))
            _ = try storage.commit(books.take())
        }
        let log = isKilled ? try directory.bytes("outbox.sqlite-wal") : nil
        let database = isKilled ? try directory.bytes("outbox.sqlite") : nil
        storage.close()
        try log?.write(to: URL(fileURLWithPath: directory.database + "-wal"))
        try database?.write(to: URL(fileURLWithPath: directory.database))
    }

    private func expectRefused(_ part: String) throws {
        let before = try files()
        for opens in [false, true] {
            let error = #expect(throws: OutboxError.self) {
                let storage = SQLiteOutboxStorage(path: directory.database)
                if opens { _ = try storage.open(verify: false) } else { _ = try storage.storedSecrets() }
            }
            #expect(error?.code == .damaged)
            #expect(error?.message.contains(part) == true, "\(error?.message ?? "none")")
        }
        #expect(try files() == before)
    }

    /// The files and their sizes, without those that SQLite makes to read: the shared memory, and a log without anything in it.
    private func files() throws -> [String: Int] {
        var sizes: [String: Int] = [:]
        for name in try FileManager.default.contentsOfDirectory(atPath: directory.path) where !name.hasSuffix("-shm") {
            guard name != DiskReserve.name else { continue }
            let size = try directory.bytes(name).count
            if size > 0 || !name.hasSuffix("-wal") { sizes[name] = size }
        }
        return sizes
    }

    @Test func `a mark reads back, and anything else is none`() {
        for (sequence, clock) in [(1, 0), (7, 1_700_000_000_000), (.max, .max)] as [(Int64, Int64)] {
            let position = OutboxMark.Position(nextSequence: sequence, clock: clock)
            let text = OutboxMark.text(position)
            #expect(OutboxMark.position(in: text) == position)
            #expect(text.count == OutboxMark.text(.init(nextSequence: 1, clock: 1)).count)
            for length in 0..<80 { #expect(OutboxMark.position(in: text.prefix(length)) == nil) }
        }
        let huge = String(decoding: OutboxMark.text(.init(nextSequence: .max, clock: 1)), as: UTF8.self)
            .replacing("9223372036854775807", with: "9999999999999999999")
        #expect(OutboxMark.position(in: Array(huge.utf8)) == nil)
    }

    @Test(
        arguments: [
            (5, 10, 5, 10, false), (5, 11, 5, 10, false), (6, 10, 5, 10, false), (4, 10, 5, 10, true),
            (5, 9, 5, 10, true),
        ] as [(Int64, Int64, Int64, Int64, Bool)]
    )
    func `an outbox is behind its mark if it has fewer writes or an earlier clock`(
        _ sequence: Int64,
        _ clock: Int64,
        _ markedSequence: Int64,
        _ markedClock: Int64,
        _ isBehind: Bool
    ) {
        let position = OutboxMark.Position(nextSequence: sequence, clock: clock)
        #expect(position.isBehind(.init(nextSequence: markedSequence, clock: markedClock)) == isBehind)
    }

    @Test(
        arguments: [
            (nil, false, false, .none), (0, false, false, .database), (4_096, false, false, .database),
            (4_096, true, true, .database), (nil, true, false, .missing(.log)), (nil, true, true, .missing(.log)),
            (0, true, false, .missing(.log)), (nil, false, true, .missing(.mark)), (0, false, true, .missing(.mark)),
        ] as [(Int64?, Bool, Bool, OutboxPresence)]
    )
    func `a database is missing where a log or a mark is without one`(
        _ databaseBytes: Int64?,
        _ hasLog: Bool,
        _ hasMark: Bool,
        _ presence: OutboxPresence
    ) {
        let found = OutboxPresence(databaseBytes: databaseBytes, hasLog: hasLog, hasMark: hasMark)
        #expect(found == presence)
        if case .missing = presence {
            #expect(found.fault(databasePath: "/s/outbox.sqlite") != nil)
        } else {
            #expect(found.fault(databasePath: "/s/outbox.sqlite") == nil)
        }
    }

    @Test func `a missing database is refused beside its log, and with it back nothing is lost`() throws {
        try makeOutbox(3, isKilled: true)
        try FileManager.default.removeItem(atPath: markPath)
        let log = try directory.bytes("outbox.sqlite-wal")
        let database = try directory.bytes("outbox.sqlite")
        try FileManager.default.removeItem(atPath: directory.database)
        try expectRefused("beside its log")
        try Data().write(to: URL(fileURLWithPath: directory.database))
        try expectRefused("beside its log")
        #expect(try directory.bytes("outbox.sqlite-wal") == log)
        try database.write(to: URL(fileURLWithPath: directory.database))
        let storage = SQLiteOutboxStorage(path: directory.database)
        #expect(try storage.open(verify: true).counts.pending == 3)
        storage.close()
    }

    @Test func `a missing database is refused where there was one, until an operator removes the mark`() throws {
        try makeOutbox(3)
        try FileManager.default.removeItem(atPath: directory.database)
        try expectRefused("there has been an outbox")
        try FileManager.default.removeItem(atPath: markPath)
        try makeOutbox(1)
        #expect(FileManager.default.fileExists(atPath: markPath))
    }

    @Test func `an outbox without a mark gets one, for its owner alone`() throws {
        try makeOutbox(3)
        try FileManager.default.removeItem(atPath: markPath)
        let storage = SQLiteOutboxStorage(path: directory.database)
        _ = try storage.open(verify: false)
        storage.close()
        #expect(try OutboxMark.find(at: markPath)?.position == .init(nextSequence: 4, clock: 5_000))
        #expect(try directory.mode(of: OutboxMark.name) == 0o600)
    }

    @Test func `a mark that cannot be understood shows that there was an outbox, and is made anew`() throws {
        try makeOutbox(3)
        try Data("?".utf8).write(to: URL(fileURLWithPath: markPath))
        let kept = try directory.bytes("outbox.sqlite")
        try FileManager.default.removeItem(atPath: directory.database)
        try expectRefused("there has been an outbox")
        try kept.write(to: URL(fileURLWithPath: directory.database))
        let storage = SQLiteOutboxStorage(path: directory.database)
        _ = try storage.open(verify: false)
        storage.close()
        #expect(try OutboxMark.find(at: markPath)?.position?.nextSequence == 4)
    }

    @Test func `an older copy of the database is refused, and taken once the mark is removed`() throws {
        try makeOutbox(2)
        let copy = try directory.bytes("outbox.sqlite")
        let storage = SQLiteOutboxStorage(path: directory.database)
        let opened = try storage.open(verify: false)
        var transaction = OutboxTransaction()
        transaction.counts = opened.counts
        (transaction.nextSequence, transaction.clock) = (opened.nextSequence, 5_001)
        _ = try storage.commit(transaction)
        storage.close()
        try copy.write(to: URL(fileURLWithPath: directory.database))
        try expectRefused("outcomes of deliveries are not in it")
        #expect(try directory.bytes("outbox.sqlite") == copy)
        try FileManager.default.removeItem(atPath: markPath)
        let again = SQLiteOutboxStorage(path: directory.database)
        #expect(try again.open(verify: true).counts.pending == 2)
        again.close()
    }

    @Test(arguments: 1...4)
    func `a log that is damaged anywhere before its end is refused, and left as it is`(_ quarter: Int) throws {
        try makeOutbox(20, isKilled: true)
        let path = directory.database + "-wal"
        var log = try Data(contentsOf: URL(fileURLWithPath: path))
        // The last quarter: within the last transactions.
        let start = log.count * quarter / 4 - 3_000
        for index in start..<start + 64 { log[index] ^= 0xFF }
        try log.write(to: URL(fileURLWithPath: path))
        try expectRefused("acknowledged writes")
        // Of the last transaction there is nothing behind it.
        if quarter < 4 { try expectRefused("is damaged behind frame") }
        #expect(try Data(contentsOf: URL(fileURLWithPath: path)) == log)
    }

    @Test func `a log is whole up to its first bad frame, and what stands behind that is found`() throws {
        try makeOutbox(20, isKilled: true)
        let log = try directory.bytes("outbox.sqlite-wal")
        let frameBytes = 24 + 4_096
        let whole = LogScan(log)
        #expect(whole.frames == (log.count - 32) / frameBytes && !whole.hasFramesBehind)
        #expect(LogScan(Data()) == LogScan(log.prefix(31)))
        for frame in [0, 1, whole.frames / 2, whole.frames - 2, whole.frames - 1] {
            for offset in [0, 8, 16, 24, 4_000] {
                var damaged = log
                damaged[32 + frame * frameBytes + offset] ^= 1
                let scan = LogScan(damaged)
                #expect(scan.frames == frame, "frame \(frame), byte \(offset)")
                // The frame behind one whose own checksum is damaged cannot be told; the next one can.
                let isTold = frame + (offset == 16 ? 2 : 1) < whole.frames
                #expect(scan.hasFramesBehind == isTold, "frame \(frame), byte \(offset)")
            }
            #expect(!LogScan(log.prefix(32 + frame * frameBytes + 100)).hasFramesBehind, "a torn end")
        }
        var header = log
        header[24] ^= 1
        #expect(LogScan(header).frames == 0 && LogScan(header).hasFramesBehind)
    }

    @Test func `an outbox that has been opened is not made anew when it has to be reopened`() throws {
        let storage = SQLiteOutboxStorage(path: directory.database)
        _ = try storage.open(verify: false)
        storage.closeWriter()
        try FileManager.default.moveItem(atPath: directory.database, toPath: directory.database + ".away")
        #expect(throws: OutboxError.self) { try storage.open(verify: true) }
        #expect(!FileManager.default.fileExists(atPath: directory.database))
        try FileManager.default.copyItem(atPath: directory.database + ".away", toPath: directory.database)
        #expect(throws: OutboxError.self) { try storage.open(verify: true) }
        #expect(rename(directory.database + ".away", directory.database) == 0)
        _ = try storage.open(verify: true)
        storage.close()
    }

    @Test func `an offline check says what is missing`() async throws {
        #expect(try await Outbox.check(stateDirectory: directory.path) == nil)
        try makeOutbox(3)
        #expect(try await Outbox.check(stateDirectory: directory.path) == [])
        let text = OutboxMark.text(.init(nextSequence: 9, clock: 1))
        try Data(text).write(to: URL(fileURLWithPath: markPath))
        let findings = try await Outbox.check(stateDirectory: directory.path)
        #expect(findings?.count == 1 && findings?[0].contains("at least 5 acknowledged writes") == true)
        try FileManager.default.removeItem(atPath: directory.database)
        await #expect(throws: OutboxError.self) { try await Outbox.check(stateDirectory: directory.path) }
    }
}
