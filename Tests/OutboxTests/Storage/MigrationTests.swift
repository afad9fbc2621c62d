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

    /// An outbox as the second version left it, with a write in every state: keys 1 (good), 2 (refused) and 3 (replaced by 1).
    private func makeVersion2() throws {
        let vault = KeyVault(masterKey: Sample.masterKey(1))
        try Data(repeating: 1, count: 32).write(to: URL(fileURLWithPath: directory.path + "/master.key"))
        var configuration = GRDB.Configuration()
        configuration.journalMode = .wal
        let queue = try DatabaseQueue(path: directory.database, configuration: configuration)
        let now = RelayClock.wallMilliseconds()
        try queue.writeWithoutTransaction { database in
            try database.execute(sql: OutboxSchema.version1)
            try database.execute(sql: OutboxSchema.version2)
            try database.execute(sql: "CREATE TABLE grdb_migrations (identifier TEXT NOT NULL PRIMARY KEY)")
            try database.execute(sql: "INSERT INTO grdb_migrations VALUES ('1'), ('2')")
            for (row, name, pending, dead, successor) in [
                (1, "good", 8, 1, nil), (2, "refused", 1, 0, nil), (3, "old", 1, 0, 1),
            ] as [(Int, String, Int, Int, Int?)] {
                let secret = Secret(name)
                let fingerprint = vault.fingerprint(secret)
                try database.execute(
                    sql: """
                        INSERT INTO api_key (row, fingerprint, sealed, master_key, created_at, verified_at, refused_at,
                            successor, pending, dead) VALUES (?, ?, ?, ?, 1, ?, ?, ?, ?, ?)
                        """,
                    arguments: [
                        row, Data(fingerprint.bytes),
                        successor == nil ? Data(try vault.seal(secret, fingerprint: fingerprint)) : nil,
                        Data(vault.masterKeyIdentifier), row == 1 ? 1 : nil, row == 1 ? nil : 1, successor, pending,
                        dead,
                    ]
                )
            }
            for (sequence, contact, key, hold, replay) in [
                (2, 1, 1, 0, 0), (3, 2, 2, 1, 1), (4, 2, 1, 0, 0), (5, 3, 1, 2, 1), (6, 4, 1, 3, 0), (7, 5, 1, 3, 0),
                (8, 6, 1, 4, 1), (10, 7, 1, 5, 1), (11, 8, 1, 6, 1), (12, 9, 3, 0, 0),
            ] {
                try database.execute(
                    sql: """
                        INSERT INTO pending_write (sequence, nonce, contact, api_key, method, target, headers, body,
                            stored_bytes, accepted_at, accepted_clock, attempts, next_attempt_clock, hold, replay, is_ambiguous)
                        VALUES (?, 7, ?, ?, 1, '/v1/x', '', X'7B7D', 7, 1, ?, 1, ?, ?, ?, 0)
                        """,
                    arguments: [
                        sequence, Data(Sample.contact(contact).bytes), key, now, sequence == 5 ? now : nil, hold,
                        replay,
                    ]
                )
            }
            for (sequence, contact, state) in [(1, 1, 4), (9, 6, 1)] {
                try database.execute(
                    sql: """
                        INSERT INTO ended_write (sequence, nonce, state, contact, api_key, method, target, headers, body,
                            accepted_at, ended_at, ended_clock, attempts, is_ambiguous, response_status, stored_bytes)
                        VALUES (?, 7, ?, ?, 1, 1, ?, ?, ?, 1, 2, ?, 1, 0, 422, ?)
                        """,
                    arguments: [
                        sequence, state, Data(Sample.contact(contact).bytes), state == 4 ? "/v1/x" : nil,
                        state == 4 ? "" : nil, state == 4 ? Data("{}".utf8) : nil, now, state == 4 ? 7 : 0,
                    ]
                )
            }
            for (contact, last) in [(1, 0), (2, 0), (3, 0), (6, 9), (7, 0), (8, 0)] {
                try database.execute(
                    sql: "INSERT INTO contact_order (contact, entries, last, whole) VALUES (?, 1, ?, ?)",
                    arguments: [Data(Sample.contact(contact).bytes), last, last]
                )
            }
            for (contact, isReleasing) in [(4, 0), (5, 1)] {
                try database.execute(
                    sql: "INSERT INTO stopped_contact VALUES (?, 1, ?)",
                    arguments: [Data(Sample.contact(contact).bytes), isReleasing]
                )
            }
            try database.execute(
                sql: """
                    INSERT INTO books (one, accepted, pending, held, delivered, rejected, superseded, dead, discarded,
                        stored_bytes, next_sequence, clock_relay, clock_wall, receipts)
                    VALUES (1, 12, 10, 6, 1, 0, 0, 1, 0, 77, 13, ?, ?, 1)
                    """,
                arguments: [now, now]
            )
        }
        try queue.close()
    }

    @Test func `version 2 opens with a write in every state, whole, and each goes on as it would have`() async throws {
        try makeVersion2()
        let storage = SQLiteOutboxStorage(path: directory.database)
        let opened = try storage.open(verify: true)
        #expect(opened.stoppedContacts == [Sample.contact(4)], "what was being released is let go")
        #expect(opened.counts.held == 5)
        #expect(try storage.withConnection { try SQLiteOutboxStorage.findings($0) } == [])
        storage.close()
        let replies = Replies()
        replies.key("refused", Sample.outcome(401))
        let transport = replies.transport
        let rig = try OutboxRig(directory, transport) { $0.holdProbeMilliseconds = 50 }
        #expect(rig.outbox.keys.key(for: Secret("refused")).isHeld)
        try await rig.counts("what is free to be delivered") { $0.delivered == 7 && $0.held == 4 && $0.pending == 4 }
        #expect(transport.attempts.contains { $0.contact == Sample.contact(9) && $0.apiKey == Secret("good") })
        replies.key("refused", nil)
        try await eventually("the write of the key that works again to be overtaken") {
            let entries = try await rig.outbox.list(WriteSelection(states: [.held]), limit: 10).writes
            return entries.first { $0.receipt.id.sequence == 3 }?.receipt.hold == .overtaken
        }
        try await rig.outbox.release([Sample.contact(4)])
        #expect(try await rig.outbox.release(WriteSelection(states: [.held]), isForced: true).changed == 3)
        #expect(try await rig.outbox.retry(WriteSelection(states: [.dead]), isForced: true).changed == 1)
        try await rig.counts("all to be delivered") { $0.delivered == 12 && $0.pending == 0 && $0.held == 0 }
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
