import DexatelAPI
import Foundation
import GRDB
import TestSupport
import Testing

@testable import Outbox

/// Each earlier version of the database opens, with everything that is in it (design §8).
@Suite struct MigrationTests {
    private let directory: TemporaryDirectory

    init() throws { directory = try TemporaryDirectory() }

    /// An outbox as the first version left it: two keys, one of them refused, with a write pending, one held for its key,
    /// one held on a 403, one delivered before and one after a dead one.
    private func makeVersion1() throws {
        let vault = KeyVault(masterKey: Sample.masterKey(1))
        try Data(repeating: 1, count: 32).write(to: URL(fileURLWithPath: directory.path + "/master.key"))
        var configuration = GRDB.Configuration()
        configuration.journalMode = .wal
        let queue = try DatabaseQueue(path: directory.database, configuration: configuration)
        try queue.writeWithoutTransaction { database in
            try database.execute(sql: OutboxSchema.version1)
            try database.execute(sql: "CREATE TABLE grdb_migrations (identifier TEXT NOT NULL PRIMARY KEY)")
            try database.execute(sql: "INSERT INTO grdb_migrations VALUES ('1')")
            for (row, name) in [(1, "good"), (2, "refused")] {
                let secret = Secret(name)
                let fingerprint = vault.fingerprint(secret)
                try database.execute(
                    sql: "INSERT INTO api_key VALUES (?, ?, ?, ?, 1000, ?, ?, NULL, ?)",
                    arguments: [
                        row, Data(fingerprint.bytes), Data(try vault.seal(secret, fingerprint: fingerprint)),
                        Data(vault.masterKeyIdentifier), row == 1 ? 1 : nil, row == 2 ? 1 : nil, row == 1 ? 2 : 1,
                    ]
                )
            }
            let pending =
                "INSERT INTO pending_write VALUES (?, 7, ?, ?, 1, '/v1/x', '', X'7B7D', 7, 1, ?, ?, ?, ?, 0, ?)"
            let now = RelayClock.wallMilliseconds()
            for (sequence, contact, key, attempts, isHeld) in [
                (3, 1, 1, 0, false), (4, 2, 2, 1, true), (5, 3, 1, 1, true),
            ] {
                try database.execute(
                    sql: pending,
                    arguments: [
                        sequence, Data(Sample.contact(contact).bytes), key, now, attempts, isHeld ? now : nil, isHeld,
                        isHeld ? "status 401" : nil,
                    ]
                )
            }
            let ended = """
                INSERT INTO ended_write VALUES (?, 7, ?, ?, 1, 1, ?, ?, ?, 1, 2, ?, 1, 0, NULL, ?, NULL, NULL)
                """
            for (sequence, state, status) in [(1, 4, 422), (2, 1, 200)] {
                let isDead = state == 4
                try database.execute(
                    sql: ended,
                    arguments: [
                        sequence, state, Data(Sample.contact(1).bytes), isDead ? "/v1/x" : nil, isDead ? "" : nil,
                        isDead ? Data("{}".utf8) : nil, now, status,
                    ]
                )
            }
            try database.execute(
                sql: "INSERT INTO books VALUES (1, 5, 3, 2, 1, 0, 0, 1, 0, 28, 6, ?, ?)",
                arguments: [now, now]
            )
        }
        try queue.close()
    }

    @Test func `version 1 opens, balanced and whole, and everything in it goes on`() async throws {
        try makeVersion1()
        let replies = Replies()
        replies.key("refused", Sample.outcome(401))
        let rig = try OutboxRig(directory, replies.transport) { $0.holdProbeMilliseconds = 50 }
        #expect(rig.outbox.committedCounts.receipts == 1)
        #expect(rig.outbox.keys.key(for: Secret("refused")).isHeld)
        #expect(rig.outbox.deadCount(Sample.contact(1), of: rig.outbox.keys.key(for: Secret("good"))) == 1)
        let entries = try await rig.outbox.list(WriteSelection(), limit: 10).writes
        #expect(entries.map(\.receipt.id.sequence) == [1, 2, 3, 4, 5])
        try await rig.counts("the good key's writes to be delivered") { $0.delivered == 3 }
        let refused = try await rig.outbox.retry(WriteSelection(states: [.dead]))
        #expect(refused.refusals.map(\.reason) == [.overtaken], "a receipt said that something later was delivered")
        #expect(try await rig.outbox.retry(WriteSelection(states: [.dead]), isForced: true).changed == 1)
        replies.key("refused", nil)
        try await rig.counts("all to be delivered") { $0.delivered == 5 && $0.pending == 0 && $0.dead == 0 }
        #expect(try await rig.findings() == [])
        await rig.stop()
    }

    @Test func `a database that was migrated has the schema of a new one`() throws {
        try makeVersion1()
        let other = try TemporaryDirectory()
        func schema(_ path: String) throws -> [String] {
            let storage = SQLiteOutboxStorage(path: path)
            _ = try storage.open(verify: true)
            defer { storage.close() }
            return try storage.withConnection {
                try String.fetchAll($0, sql: "SELECT name || ':' || coalesce(sql, '') FROM sqlite_schema ORDER BY name")
            } ?? []
        }
        #expect(try schema(directory.database) == schema(other.database))
    }

    @Test func `books that are not those of the writes are refused at the start, and a full check says where`()
        async throws
    {
        let rig = try OutboxRig(directory, ScriptedTransport { _, _ in Sample.unreachable })
        for token in 1...3 as ClosedRange<UInt64> { try await rig.accept(token, Int(token)) }
        #expect(try await rig.findings() == [])
        await rig.stop()
        let queue = try DatabaseQueue(path: directory.database)
        try await queue.write { try $0.execute(sql: "UPDATE books SET held = 1, receipts = 9") }
        let again = try OutboxRig(directory, ScriptedTransport { _, _ in Sample.unreachable })
        let findings = try await again.findings()
        #expect(findings.contains { $0.hasPrefix("held") } && findings.contains { $0.hasPrefix("receipts") })
        await again.stop()
        try await queue.write { try $0.execute(sql: "UPDATE books SET accepted = 4, pending = 4") }
        try queue.close()
        let error = #expect(throws: OutboxError.self) {
            try OutboxRig(directory, ScriptedTransport { _, _ in Sample.unreachable })
        }
        #expect(error?.code == .damaged)
    }
}
