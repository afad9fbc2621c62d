import DexatelAPI
import Foundation
import GRDB
import TestSupport
import Testing

@testable import Outbox

/// No number in the file traps: the outbox refuses to open with an error, or goes on and says what is damaged.
@Suite struct DamagedNumberTests {
    private static let extremes: [Int64] = [.max, .min, .max - 1, -1, 1 << 53, 1 << 62, 77]

    /// A closed outbox with a row in each table: dead, held, stopped, replaced, delivered and pending.
    private func makeOutbox(_ directory: TemporaryDirectory) async throws {
        let transport = ScriptedTransport { attempt, _ in
            switch attempt.contact {
            case Sample.contact(1): Sample.outcome(422)
            case Sample.contact(2): Sample.outcome(403)
            case Sample.contact(3): Sample.outcome(200)
            default: Sample.unreachable
            }
        }
        let rig = try OutboxRig(directory, transport, backoffMilliseconds: 1_000)
        for number in 1...3 { try await rig.accept(UInt64(number), number) }
        try await rig.waitFor(1, .dead)
        try await rig.waitFor(2, .held)
        try await rig.waitFor(3, .delivered)
        try await rig.accept(4, 4)
        try await rig.accept(5, 5)
        try await rig.accept(6, 5, body: #"{"data":{"first_name":"A","other":1}}"#)
        try await rig.accept(7, 6, key: "another")
        _ = try await rig.outbox.hold([Sample.contact(4)])
        await rig.stop()
    }

    /// The integer columns of the tables with rows, but for the keys of the rows.
    private func columns(_ path: String) throws -> [(table: String, column: String)] {
        let queue = try DatabaseQueue(path: path)
        defer { try? queue.close() }
        return try queue.read { database in
            try String.fetchAll(database, sql: "SELECT name FROM sqlite_schema WHERE type = 'table'").flatMap { table in
                guard try Int.fetchOne(database, sql: "SELECT 1 FROM \(table)") != nil else {
                    return [(String, String)]()
                }
                return try Row.fetchAll(
                    database,
                    sql: "SELECT name FROM pragma_table_info(?) WHERE type = 'INTEGER' AND pk = 0",
                    arguments: [table]
                )
                .map { (table, try $0.value("name", as: String.self)) }
            }
        }
    }

    @Test func `every integer column of the schema has a range`() async throws {
        let directory = try TemporaryDirectory()
        try await makeOutbox(directory)
        let columns = try columns(directory.database)
        #expect(columns.count > 50)
        for (table, column) in columns { #expect(ColumnRange.kinds[column] != nil, "\(table).\(column)") }
    }

    @Test func `no number in any integer column ends the process, and each that makes no sense is found`() async throws
    {
        var random = SeededGenerator("damaged numbers")
        let saved = try TemporaryDirectory()
        try await makeOutbox(saved)
        let places = try columns(saved.database)
        for (table, column) in places {
            for value in [Int64.max, .min, Self.extremes[Int.random(in: 2..<Self.extremes.count, using: &random)]] {
                let directory = try TemporaryDirectory()
                for name in try FileManager.default.contentsOfDirectory(atPath: saved.path) where name != "lock" {
                    try FileManager.default.copyItem(
                        atPath: saved.path + "/" + name,
                        toPath: directory.path + "/" + name
                    )
                }
                guard try set(directory, table, column, value) else { continue }
                let place: Comment = "\(table).\(column) = \(value)"
                let findings = try? await Outbox.check(stateDirectory: directory.path)
                if value == .max || value == .min, !["nonce", "turn"].contains(column) {
                    #expect(findings?.isEmpty != true, place)
                }
                try await run(directory)
            }
        }
    }

    private func set(_ directory: TemporaryDirectory, _ table: String, _ column: String, _ value: Int64) throws -> Bool
    {
        let queue = try DatabaseQueue(path: directory.database)
        defer { try? queue.close() }
        return try queue.writeWithoutTransaction { database in
            try database.execute(sql: "PRAGMA ignore_check_constraints = ON; PRAGMA foreign_keys = OFF")
            do {
                try database.execute(sql: "UPDATE \(table) SET \(column) = ?", arguments: [value])
                return true
            } catch let error as DatabaseError where error.resultCode == .SQLITE_CONSTRAINT {
                return false
            }
        }
    }

    /// Does everything that reads the file; what it refuses, it refuses with an error.
    private func run(_ directory: TemporaryDirectory) async throws {
        let transport = ScriptedTransport { _, _ in Sample.outcome(200) }
        let rig: OutboxRig
        do {
            rig = try OutboxRig(directory, transport)
        } catch let error as OutboxError {
            #expect(!error.message.isEmpty)
            return
        }
        if rig.submit(1, 6, wait: 0) == nil { _ = try await rig.answer(1) }
        let selections = [WriteSelection(), WriteSelection(states: [.held]), WriteSelection(states: [.dead])]
        for selection in selections {
            for entry in (try? await rig.outbox.list(selection, limit: 100).writes) ?? [] {
                _ = try? await rig.outbox.show(entry.receipt.id)
            }
        }
        _ = await rig.outbox.status()
        _ = try? await rig.outbox.check()
        _ = try? await rig.outbox.keySummaries()
        _ = try? await rig.outbox.stoppedContacts()
        _ = try? await rig.outbox.untoldDeadWrites(limit: 10)
        _ = try? await rig.outbox.release(WriteSelection(), isForced: true)
        _ = try? await rig.outbox.retry(WriteSelection())
        await rig.stop()
    }
}
