import DexatelAPI
import Foundation
import GRDB
import TestSupport
import Testing

@testable import Outbox

/// The lives of API keys (design §8).
@Suite struct KeyOperationTests {
    private let directory: TemporaryDirectory
    private let replies = Replies()

    init() throws { directory = try TemporaryDirectory() }

    private func rig(_ transport: ScriptedTransport? = nil) throws -> OutboxRig {
        try OutboxRig(directory, transport ?? replies.transport) { $0.holdProbeMilliseconds = 50 }
    }

    private func key(_ rig: OutboxRig, _ secret: String) -> KnownKey { rig.outbox.keys.key(for: Secret(secret)) }

    // MARK: - Replacing

    @Test func `a key that is replaced leaves its writes to the new one, and is refused itself`() async throws {
        let transport = replies.transport
        let rig = try rig(transport)
        replies.key("planted-old", Sample.outcome(401))
        var ids: [WriteID] = []
        for token in 1...5 as ClosedRange<UInt64> {
            ids.append(try await rig.accept(token, Int(token), key: "planted-old"))
        }
        try await rig.counts("all to be held") { $0.held == 5 }
        let old = key(rig, "planted-old")
        let name = old.fingerprint.description
        #expect(
            try await rig.outbox.candidateContact(ofKey: name).map { (1...5).map(Sample.contact).contains($0) } == true
        )
        try await rig.outbox.replaceKey(name, by: Secret("new"))
        for id in ids { try await rig.waitFor(id, .delivered) }
        #expect(transport.attempts.filter { $0.apiKey == Secret("new") }.count == 5)
        #expect(old.isHeld, "nobody may write with it any more")
        #expect(old.pendingCount == 0)
        let new = key(rig, "new")
        #expect(!new.isHeld && new.pendingCount == 0)
        #expect(try await rig.outbox.receipt(ids[0], for: new)?.state == .delivered)
        #expect(try await rig.outbox.receipt(ids[0], for: key(rig, "stranger")) == nil)
        await #expect(throws: KeyReplacementFault.unknownKey) {
            try await rig.outbox.replaceKey(name, by: Secret("another"))
        }
        #expect(try await rig.findings() == [])
        await rig.stop()

        let again = try self.rig()
        #expect(key(again, "planted-old").isHeld)
        #expect(try await again.outbox.receipt(ids[0], for: key(again, "new"))?.state == .delivered)
        let summaries = try await again.outbox.keySummaries()
        #expect(summaries.map(\.successor) == [key(again, "new").fingerprint.hexadecimal, nil])
        #expect(summaries.map(\.isSealed) == [false, true])
        await again.stop()
        #expect(try directory.files(containing: "planted-old") == [])
    }

    @Test func `what is pending of a replaced key is sent with the new one after a restart, however long the chain`()
        async throws
    {
        let down = try rig(ScriptedTransport { _, _ in Sample.unreachable })
        for (number, names) in [("one", "two"), ("two", "three")].enumerated() {
            try await down.accept(UInt64(number + 1), number + 1, key: names.0)
            try await down.outbox.replaceKey(key(down, names.0).fingerprint.hexadecimal, by: Secret(names.1))
        }
        #expect(key(down, "three").pendingCount == 2)
        await down.stop()
        let transport = replies.transport
        let rig = try rig(transport)
        #expect(key(rig, "three").pendingCount <= 2)
        try await rig.counts("both to be delivered") { $0.delivered == 2 }
        #expect(transport.attempts.allSatisfy { $0.apiKey == Secret("three") })
        #expect(key(rig, "three").pendingCount == 0)
        #expect(try await rig.findings() == [])
        await rig.stop()
    }

    @Test func `a key is not replaced by itself, by a replaced one, or by a name that several have`() async throws {
        let rig = try rig(ScriptedTransport { _, _ in Sample.unreachable })
        for (number, name) in ["a", "b", "c"].enumerated() {
            try await rig.accept(UInt64(number + 1), number, key: name)
        }
        let a = key(rig, "a").fingerprint.hexadecimal
        await #expect(throws: KeyReplacementFault.unusableSuccessor) {
            try await rig.outbox.replaceKey(a, by: Secret("a"))
        }
        await #expect(throws: KeyReplacementFault.unknownKey) { try await rig.outbox.replaceKey("", by: Secret("d")) }
        await #expect(throws: KeyReplacementFault.unknownKey) { try await rig.outbox.replaceKey("zz", by: Secret("d")) }
        try await rig.outbox.replaceKey(a, by: Secret("b"))
        await #expect(throws: KeyReplacementFault.unusableSuccessor) {
            try await rig.outbox.replaceKey(key(rig, "c").fingerprint.hexadecimal, by: Secret("a"))
        }
        #expect(rig.submit(9, 9, key: "a", wait: 0) == nil)
        _ = try await rig.answer(9)
        #expect(key(rig, "b").pendingCount == 3, "what was on its way then is the new key's as well")
        #expect(try await rig.findings() == [])
        await rig.stop()
    }

    // MARK: - Refusals over restarts

    @Test func `a refused key stays refused over a restart, is probed, and its writes then go on`() async throws {
        replies.key("api-key", Sample.outcome(401))
        let first = try rig()
        var ids: [WriteID] = []
        for token in 1...300 as ClosedRange<UInt64> { ids.append(try await first.accept(token, Int(token % 7))) }
        try await first.counts("all to be held") { $0.held == 300 }
        await first.stop()
        let transport = replies.transport
        let rig = try rig(transport)
        #expect(key(rig, "api-key").isHeld)
        try await eventually("a probe") { !transport.attempts.isEmpty }
        replies.key("api-key", nil)
        try await rig.counts("all to end") { $0.delivered + $0.superseded == 300 && $0.held == 0 }
        #expect(!key(rig, "api-key").isHeld)
        #expect(!transport.sawOverlap)
        #expect(try await rig.findings() == [])
        await rig.stop()
    }

    @Test func `a crash in the middle of a release changes nothing: the rest comes back after the restart`()
        async throws
    {
        replies.key("api-key", Sample.outcome(401))
        let first = try rig()
        for token in 1...50 as ClosedRange<UInt64> { try await first.accept(token, Int(token)) }
        try await first.counts("all to be held") { $0.held == 50 }
        await first.stop()
        // As if the key had been taken again, and the relay had died before anything came back.
        let queue = try DatabaseQueue(path: directory.database)
        try await queue.write { try $0.execute(sql: "UPDATE api_key SET refused_at = NULL, verified_at = 1") }
        try queue.close()
        replies.key("api-key", nil)
        let rig = try rig()
        try await rig.counts("all to be delivered") { $0.delivered == 50 && $0.held == 0 }
        await rig.stop()
    }

    // MARK: - The master key

    private func write(_ byte: UInt8, to name: String) throws {
        try Data(repeating: byte, count: 32).write(to: URL(fileURLWithPath: directory.path + "/" + name))
    }

    @Test func `a new master key beside the previous one seals everything anew, and fingerprints stay`() async throws {
        let down = ScriptedTransport { _, _ in Sample.unreachable }
        try write(1, to: "master.key")
        let first = try rig(down)
        let id = try await first.accept(1, 1, key: "planted-api-key")
        let fingerprint = key(first, "planted-api-key").fingerprint
        await first.stop()
        let before = try directory.bytes("outbox.sqlite")

        try write(2, to: "master.key")
        let wrong = #expect(throws: OutboxError.self) { try self.rig(down) }
        #expect(wrong?.code == .masterKey)
        #expect(try directory.bytes("outbox.sqlite") == before, "nothing is touched")

        try write(1, to: "master.key.previous")
        let rotated = try rig(down)
        #expect(key(rotated, "planted-api-key").fingerprint == fingerprint)
        #expect(try await rotated.outbox.receipt(id, for: key(rotated, "planted-api-key"))?.state.hasEnded == false)
        await rotated.stop()

        try FileManager.default.removeItem(atPath: directory.path + "/master.key.previous")
        let transport = replies.transport
        let rig = try rig(transport)
        try await rig.waitFor(id, .delivered)
        #expect(transport.attempts.map(\.apiKey) == [Secret("planted-api-key")])
        await rig.stop()
        #expect(try directory.files(containing: "planted-api-key") == [])

        try write(1, to: "master.key")
        #expect(throws: OutboxError.self) { try self.rig() }
    }

    @Test func `two different previous master keys are refused`() async throws {
        let credentials = try TemporaryDirectory()
        try write(1, to: "master.key.previous")
        try Data(repeating: 2, count: 32)
            .write(to: URL(fileURLWithPath: credentials.path + "/master-key.previous"))
        let error = #expect(throws: OutboxError.self) {
            try MasterKeys.load(
                stateDirectory: directory.path,
                credentialsDirectory: credentials.path,
                mayCreate: true
            )
        }
        #expect(error?.code == .masterKey)
    }
}
