import DexatelAPI
import Foundation
import GRDB
import TestSupport
import Testing

@testable import Outbox

/// A damaged row is set aside, and everything else goes on; what rows do not tell is refused (design §8).
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

    /// An outbox with pending writes to an upstream that is away, closed again.
    private func twoPending(_ writes: [(UInt64, Int)] = [(1, 1), (2, 2)]) async throws {
        let rig = try OutboxRig(directory, ScriptedTransport { _, _ in Sample.unreachable }) {
            $0.maxConcurrentWrites = 1
        }
        for (token, contact) in writes { try await rig.accept(token, contact) }
        await rig.stop()
    }

    @Test(arguments: damages)
    func `what a damaged row holds is never taken for something else, and ends nothing`(_ damage: String) async throws {
        try await twoPending()
        try self.damage("pending_write", "UPDATE pending_write SET \(damage) WHERE sequence = 1")
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
        #expect(try await Outbox.check(stateDirectory: directory.path)?.isEmpty == false)
        let storage = SQLiteOutboxStorage(path: directory.database)
        let opened = try storage.open(verify: true)
        #expect(opened.setAside.map(\.sequence) == [1])
        #expect(opened.counts.pending == 1 && opened.counts.damaged == 1 && opened.counts.isBalanced)
        storage.close()
        let findings = try #require(try await Outbox.check(stateDirectory: directory.path))
        #expect(findings.count == 1 && findings[0].contains("set aside"), "\(findings)")
    }

    @Test func `a damaged write is set aside while running, and all others are delivered, its contact's included`()
        async throws
    {
        try await twoPending([(1, 1), (2, 2), (3, 1)])
        try damage("pending_write", "UPDATE pending_write SET method = 9 WHERE sequence = 1")
        let transport = ScriptedTransport { _, _ in Sample.outcome(200) }
        let rig = try OutboxRig(directory, transport)
        let counts = try await rig.counts("the others to be delivered") { $0.delivered == 2 && $0.damaged == 1 }
        #expect(counts.isBalanced && counts.pending == 0 && counts.accepted == 3)
        #expect(Set(transport.attempts.map(\.contact)) == [Sample.contact(1), Sample.contact(2)])
        try await eventually("writes to be taken") { rig.outbox.health == .working }
        try await rig.accept(4, 4)
        try await rig.waitFor(4, .delivered)
        // Raw, as it was.
        let damaged = try await rig.outbox.damagedWrites(limit: 10)
        #expect(damaged.map(\.sequence) == [1] && damaged[0].place == "pending")
        #expect(damaged.first?.reason.contains("method") == true)
        let raw = try JSONDecoder().decode([String: DamagedWrite.RawValue].self, from: Data(damaged[0].content.utf8))
        #expect(raw["method"]?.text == "9")
        #expect(raw["contact"]?.base64 == Data(Sample.contact(1).bytes).base64EncodedString())
        #expect(raw["target"]?.text == Sample.contact(1).path)
        #expect(try await rig.outbox.discardDamaged([1, 99]) == 1)
        #expect(try await rig.outbox.discardDamaged([1]) == 0)
        let left = try await rig.counts("it to be discarded") { $0.damaged == 0 }
        #expect(left.discarded == 1 && left.isBalanced)
        #expect(try await rig.outbox.check().isEmpty)
        await rig.stop()
    }

    @Test(arguments: [
        "api_key = 77", "hold = 77", "hold = 3", "outage = 9", "turn = 9223372036854775807", "turn = -5",
        "accepted_at = 9223372036854775807",
    ])
    func `what no lane would come across is found behind the start`(_ damage: String) async throws {
        try await twoPending()
        try self.damage("pending_write", "UPDATE pending_write SET \(damage) WHERE sequence = 1")
        let rig = try OutboxRig(directory, ScriptedTransport { _, _ in Sample.outcome(200) })
        let counts = try await rig.counts("it to be found") { $0.delivered + $0.damaged == 2 }
        #expect(counts.pending == 0 && counts.isBalanced)
        // A turn can be given again.
        if damage.hasPrefix("turn") { #expect(counts.damaged == 0) }
        if damage.hasPrefix("api_key") || damage.hasPrefix("hold") { #expect(counts.damaged == 1) }
        await rig.stop()
    }

    @Test(arguments: ["contact = x'01'", "method = 9", "body = NULL", "attempts = -1"])
    func `a damaged dead write is set aside at the start`(_ damage: String) async throws {
        let first = try OutboxRig(directory, ScriptedTransport { _, _ in Sample.outcome(422) })
        try await first.accept(1, 1)
        try await first.waitFor(1, .dead)
        await first.stop()
        try self.damage("ended_write", "UPDATE ended_write SET \(damage) WHERE sequence = 1")
        let storage = SQLiteOutboxStorage(path: directory.database)
        _ = try? storage.open(verify: false)
        let opened = try storage.open(verify: true)
        #expect(opened.counts.damaged == 1 && opened.counts.dead == 0 && opened.counts.isBalanced)
        storage.close()
        let rig = try OutboxRig(directory, ScriptedTransport { _, _ in Sample.outcome(200) })
        try await rig.accept(2, 1)
        try await rig.waitFor(2, .delivered)
        await rig.stop()
    }

    @Test func `receipts that cannot be read are set aside, and count as what they were`() async throws {
        let first = try OutboxRig(directory, ScriptedTransport { _, _ in Sample.outcome(200) })
        for number in 1...3 {
            try await first.accept(UInt64(number), number)
            try await first.waitFor(UInt64(number), .delivered)
        }
        await first.stop()
        try damage("ended_write", "UPDATE ended_write SET state = 77 WHERE sequence = 2")
        let storage = SQLiteOutboxStorage(path: directory.database)
        let opened = try storage.open(verify: true)
        #expect(opened.counts.delivered == 3 && opened.counts.receipts == 2 && opened.counts.damaged == 0)
        #expect(opened.setAside.map(\.place) == [.receipt])
        storage.close()
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
