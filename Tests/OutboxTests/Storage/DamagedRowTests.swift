import DexatelAPI
import Foundation
import GRDB
import TestSupport
import Testing

@testable import Outbox

/// A damaged row is an error: the daemon goes on, takes no writes, and leaves the file as it is (design §8).
@Suite struct DamagedRowTests {
    private let directory: TemporaryDirectory

    init() throws { directory = try TemporaryDirectory() }

    /// What no release would write, in the row of one pending write.
    private static let damages = [
        "contact = x'0102030405'", "contact = 'text'", "contact = NULL", "method = 9", "method = 'PUT'", "hold = 77",
        "replay = 5", "attempts = 'many'", "accepted_clock = NULL", "nonce = 1.5", "body = NULL", "body = 'text'",
        "target = NULL", "headers = x'ff'", "attempt_log = x'07'", "next_attempt_clock = 'soon'",
        "is_ambiguous = 'maybe'",
        "attempts = 9223372036854775807", "stored_bytes = -1", "accepted_clock = -9223372036854775808",
        "fields = x'00'", "other_fields = x'03'", "api_key = NULL", "stored_bytes = 'few'", "not_found_clock = x'01'",
    ]

    /// Puts something into a table that its definition would not let in.
    private func damage(_ table: String, _ sql: String) throws {
        let queue = try DatabaseQueue(path: directory.database)
        let definition = try queue.writeWithoutTransaction { database in
            let definition = try String.fetchOne(
                database,
                sql: "SELECT sql FROM sqlite_schema WHERE name = ?",
                arguments: [table]
            )
            try Self.define(table, definition?.replacing("NOT NULL", with: "").replacing("STRICT", with: ""), database)
            return definition
        }
        try queue.close()
        let lenient = try DatabaseQueue(path: directory.database)
        try lenient.writeWithoutTransaction { database in
            // Whatever type it is to have: the column's own would turn it into what fits.
            try database.execute(sql: "PRAGMA foreign_keys = OFF; PRAGMA ignore_check_constraints = ON")
            try database.execute(sql: sql)
            try Self.define(table, definition, database)
        }
        try lenient.close()
    }

    private static func define(_ table: String, _ definition: String?, _ database: Database) throws {
        try database.execute(sql: "PRAGMA writable_schema = ON")
        try database.execute(sql: "UPDATE sqlite_schema SET sql = ? WHERE name = ?", arguments: [definition, table])
        try database.execute(sql: "PRAGMA writable_schema = OFF")
    }

    /// An outbox with two pending writes to an upstream that is away, closed again.
    private func twoPending() async throws {
        let rig = try OutboxRig(directory, ScriptedTransport { _, _ in Sample.unreachable }) {
            $0.maxConcurrentWrites = 1
        }
        try await rig.accept(1, 1)
        try await rig.accept(2, 2)
        await rig.stop()
    }

    @Test(arguments: damages)
    func `what a damaged row holds is never taken for something else, and ends nothing`(_ damage: String) async throws {
        try await twoPending()
        try self.damage("pending_write", "UPDATE pending_write SET \(damage) WHERE sequence = 1")
        let storage = SQLiteOutboxStorage(path: directory.database)
        let error = #expect(throws: OutboxError.self) { try storage.open(verify: true) }
        #expect(error?.code == .damaged)
        // Each read says what it can, or that it cannot.
        let reader = try SQLiteOutboxReader(path: directory.database)
        _ = try? await reader.hasPending(Sample.contact(1))
        _ = try? await reader.pendingWrites(
            to: [Sample.contact(1)],
            keyRows: [1],
            semantics: .unknown,
            limit: 10,
            maxBytes: 99
        )
        _ = try? await reader.details(1)
        _ = try? await reader.exports([1, 2])
        _ = try? await reader.page(WriteSelection(), after: 0, limit: 10, wallNow: 0)
        reader.close()
    }

    @Test func `a damaged backlog is found while running: writes get 503, nothing is overwritten, and it says so`()
        async throws
    {
        try await twoPending()
        try damage("pending_write", "UPDATE pending_write SET contact = x'0102030405' WHERE sequence = 1")
        let transport = ScriptedTransport { _, _ in Sample.outcome(200) }
        let rig = try OutboxRig(directory, transport)
        try await eventually("the damage to be found") {
            if case .failed = rig.outbox.health { true } else { false }
        }
        guard case .failed(let message) = rig.outbox.health else { return }
        #expect(message.contains("the write 1") && message.contains("contact") && message.contains(".recover"))
        #expect(rig.submit(3, 3) == .storageFailed)
        #expect(transport.attempts.isEmpty, "no write passes one that cannot be read")
        await rig.stop()
        let left = try DatabaseQueue(path: directory.database)
        let rows = try await left.read { database in
            try Row.fetchAll(database, sql: "SELECT hex(contact) AS contact FROM pending_write ORDER BY sequence")
                .map { try $0.value("contact", as: String.self) }
        }
        #expect(rows.count == 2 && rows[0] == "0102030405")
    }

    @Test(arguments: [
        ("books", "UPDATE books SET pending = 'two'"), ("books", "UPDATE books SET clock_relay = x'00'"),
        ("books", "UPDATE books SET accepted = 9223372036854775807, delivered = 9223372036854775807"),
        ("books", "UPDATE books SET next_sequence = 9223372036854775807"),
        ("books", "UPDATE books SET clock_wall = -1"),
        ("books", "UPDATE books SET clock_relay = 9223372036854775807"), ("api_key", "UPDATE api_key SET pending = -1"),
        ("api_key", "UPDATE api_key SET fingerprint = x'01'"), ("api_key", "UPDATE api_key SET pending = NULL"),
        ("vault", "UPDATE vault SET fingerprint_key = NULL"),
        ("outbox_schema", "UPDATE outbox_schema SET version = 'two'"),
    ])
    func `damaged books and keys are refused at the start, and left as they are`(_ table: String, _ sql: String)
        async throws
    {
        try await twoPending()
        try damage(table, sql)
        let before = try directory.bytes("outbox.sqlite")
        let error = #expect(throws: OutboxError.self) {
            try Outbox.open(
                OutboxRig.configuration(directory),
                transport: ScriptedTransport { _, _ in Sample.outcome(200) },
                backoffMilliseconds: { _ in 1 },
                logger: OutboxRig.logger
            )
        }
        #expect(error?.code == .damaged)
        #expect(try directory.bytes("outbox.sqlite") == before)
    }
}
