import DexatelAPI
import Foundation
import NIOCore
import Synchronization
import TestSupport
import Testing

@testable import Outbox

/// What operators do with the queue (design §2.2).
@Suite struct OperationTests {
    private let directory: TemporaryDirectory
    private let replies = Replies()

    init() throws { directory = try TemporaryDirectory() }

    private func rig(_ change: (inout OutboxConfiguration) -> Void = { _ in }) throws -> OutboxRig {
        try OutboxRig(directory, replies.transport, backoffMilliseconds: 60_000, change)
    }

    // MARK: - Looking

    @Test func `a listing goes through everything once, in order, a page at a time`() async throws {
        let rig = try rig()
        var expected: [Int64] = []
        for token in 1...30 as ClosedRange<UInt64> {
            replies.contact(
                Int(token),
                token % 3 == 0 ? Sample.outcome(422) : token % 3 == 1 ? Sample.unreachable : nil
            )
            expected.append(try await rig.accept(token, Int(token)).sequence)
        }
        try await rig.counts("all to be tried") { $0.dead == 10 && $0.delivered == 10 }
        var seen: [Int64] = []
        var after: Int64? = 0
        while let from = after {
            let page = try await rig.outbox.list(WriteSelection(), after: from, limit: 7)
            seen += page.writes.map(\.receipt.id.sequence)
            after = page.next
        }
        #expect(seen == expected)
        await rig.stop()
    }

    @Test func `a selection finds what it says, and nothing else`() async throws {
        let rig = try rig()
        replies.contact(1, Sample.outcome(422, #"{"errors":[{"code":1361}]}"#))
        replies.contact(2, Sample.outcome(403))
        replies.contact(3, Sample.outcome(500))
        let dead = try await rig.accept(1, 1)
        let held = try await rig.accept(2, 2)
        let failing = try await rig.accept(3, 3)
        let done = try await rig.accept(4, 4, key: "other")
        try await rig.waitFor(dead, .dead)
        try await rig.waitFor(held, .held)
        try await rig.waitFor(done, .delivered)
        try await eventually("a first attempt") { try await rig.outbox.show(failing)?.entry.receipt.attempts == 1 }
        func found(_ change: (inout WriteSelection) -> Void) async throws -> [WriteID] {
            var selection = WriteSelection()
            change(&selection)
            return try await rig.outbox.list(selection, limit: 100).writes.map(\.receipt.id)
        }
        #expect(try await found { $0.states = [.dead] } == [dead])
        #expect(try await found { $0.states = [.held] } == [held])
        #expect(try await found { $0.states = [.pending] } == [failing])
        #expect(try await found { $0.states = [.delivered, .dead] } == [dead, done])
        #expect(try await found { $0.contact = Sample.contact(3) } == [failing])
        #expect(try await found { $0.audience = 7 } == [dead, held, failing, done])
        #expect(try await found { $0.audience = 8 } == [])
        #expect(try await found { $0.status = 422 } == [dead])
        #expect(try await found { $0.status = 500 } == [failing])
        #expect(try await found { $0.errorCode = 1361 } == [dead])
        #expect(try await found { $0.ids = [done, WriteID(sequence: dead.sequence, nonce: 0)] } == [done])
        #expect(try await found { $0.olderThanMilliseconds = 3_600_000 } == [])
        #expect(try await found { $0.olderThanMilliseconds = -1_000 }.count == 4)
        let fingerprint = rig.outbox.keys.key(for: Secret("other")).fingerprint
        #expect(try await found { $0.keyFingerprintPrefix = fingerprint.description.uppercased() } == [done])
        await rig.stop()
    }

    @Test func `a dead write shows what it sent and what was answered; a delivered one nothing of its body`()
        async throws
    {
        let rig = try rig()
        replies.contact(1, Sample.outcome(422))
        let body = #"{"data":{"date":"1","tags":2}}"#
        let dead = try await rig.accept(1, 1, body: body)
        let done = try await rig.accept(2, 2, body: body)
        try await rig.waitFor(dead, .dead)
        try await rig.waitFor(done, .delivered)
        let details = try #require(try await rig.outbox.show(dead))
        #expect(details.payload?.body == ByteBuffer(string: body))
        #expect(details.fieldNames == ["date", "tags"])
        #expect(details.entry.receipt.responseBody == Array(Sample.apiError.utf8))
        #expect(details.entry.receipt.lastAttempts.entries.map(\.status) == [422])
        #expect(details.entry.storedBytes > body.utf8.count)
        let delivered = try #require(try await rig.outbox.show(done))
        #expect(delivered.payload == nil && delivered.entry.storedBytes == 0)
        #expect(try await rig.outbox.show(WriteID(sequence: dead.sequence, nonce: 1)) == nil)
        await rig.stop()
    }

    // MARK: - Discarding

    @Test func `a discarded write is not sent, its body is gone, and the books have it`() async throws {
        let gate = Gate()
        let transport = ScriptedTransport { attempt, _ in
            if attempt.contact == Sample.contact(4) { await gate.pass() }
            return attempt.contact == Sample.contact(1)
                ? Sample.outcome(422)
                : attempt.contact == Sample.contact(2)
                    ? Sample.outcome(403)
                    : attempt.contact == Sample.contact(3) ? Sample.unreachable : Sample.outcome(200)
        }
        let rig = try OutboxRig(directory, transport, backoffMilliseconds: 60_000)
        var ids: [WriteID] = []
        for token in 1...4 as ClosedRange<UInt64> {
            ids.append(try await rig.accept(token, Int(token), body: #"{"data":{"date":"planted-\#(token)"}}"#))
        }
        try await rig.waitFor(ids[0], .dead)
        try await rig.waitFor(ids[1], .held)
        try await rig.waitFor(ids[3], .inFlight)
        let behind = try await rig.accept(5, 4)
        let result = try await rig.outbox.discard(WriteSelection())
        #expect(result.changed == 4)
        #expect(result.refusals == [.init(id: ids[3], reason: .inFlight)])
        for id in ids[..<3] + [behind] { #expect(try await rig.state(id) == .discarded) }
        gate.open()
        try await rig.waitFor(ids[3], .delivered)
        let counts = rig.outbox.committedCounts
        #expect(counts.discarded == 4 && counts.pending == 0 && counts.dead == 0 && counts.storedBytes == 0)
        #expect(try await rig.findings() == [])
        let again = try await rig.accept(6, 3)
        #expect(try await rig.state(again) != nil, "the lane goes on")
        await rig.stop()
        #expect(try directory.files(containing: "planted-1") == [])
    }

    // MARK: - Contacts

    @Test func `a stopped contact sends nothing, over a restart too, and then goes on in order`() async throws {
        let transport = replies.transport
        let first = try OutboxRig(directory, transport)
        try await first.outbox.hold([Sample.contact(1)])
        var ids: [WriteID] = []
        for token in 1...20 as ClosedRange<UInt64> { ids.append(try await first.accept(token, 1, body: "\(token)")) }
        let other = try await first.accept(99, 2)
        try await first.waitFor(other, .delivered)
        try await first.counts("all to be held") { $0.held == 20 }
        await first.stop()
        let again = replies.transport
        let rig = try OutboxRig(directory, again)
        let more = try await rig.accept(50, 1, body: "50")
        try await rig.counts("it to be held, too") { $0.held == 21 }
        #expect(again.attempts.isEmpty)
        let refused = try await rig.outbox.release(WriteSelection(ids: [ids[0]]))
        #expect(refused.refusals == [.init(id: ids[0], reason: .contactStopped)])
        try await rig.outbox.release([Sample.contact(1)])
        try await rig.waitFor(more, .delivered)
        #expect(again.attempts.map(\.body) == (1...20).map { "\($0)" } + ["50"])
        try await rig.counts("nothing to be held") { $0.held == 0 && $0.pending == 0 }
        #expect(try await rig.findings() == [])
        let afterwards = try await rig.accept(60, 1)
        try await rig.waitFor(afterwards, .delivered)
        await rig.stop()
    }

    // MARK: - Export

    @Test func `an export goes into another outbox under the same master key, and nowhere else`() async throws {
        let rig = try rig()
        for contact in 1...3 { replies.contact(contact, contact == 2 ? Sample.outcome(422) : Sample.unreachable) }
        let body = #"{"data":{"date":"ü"}}"#
        for token in 1...3 as ClosedRange<UInt64> {
            _ = try await rig.accept(token, Int(token), key: "secret-key-\(token)", body: body)
        }
        try await rig.counts("one to be dead") { $0.dead == 1 }
        let exported = try await rig.outbox.export(WriteSelection())
        #expect(exported.writes.count == 3 && exported.next == nil)
        let lines = try exported.writes.map { try JSONEncoder().encode($0) }
        #expect(lines.allSatisfy { !String(decoding: $0, as: UTF8.self).contains("secret-key") })
        await rig.stop()
        let read = try lines.map { try JSONDecoder().decode(ExportedWrite.self, from: $0) }
        #expect(read == exported.writes)

        let elsewhere = try TemporaryDirectory()
        let wrong = try OutboxRig(elsewhere, replies.transport)
        await #expect(throws: ImportFault.keySealed) { try await wrong.outbox.importWrites(read) }
        #expect(wrong.outbox.committedCounts.accepted == 0)
        await wrong.stop()

        let target = try TemporaryDirectory()
        try directory.bytes("master.key").write(to: URL(fileURLWithPath: target.path + "/master.key"))
        let transport = ScriptedTransport { _, _ in Sample.outcome(200) }
        let other = try OutboxRig(target, transport) { $0.maxPending = 3 }
        let ids = try await other.outbox.importWrites(read)
        #expect(ids.count == 3)
        try await other.counts("all to be delivered") { $0.delivered == 3 && $0.accepted == 3 }
        #expect(Set(transport.attempts.map(\.apiKey)) == Set((1...3).map { Secret("secret-key-\($0)") }))
        #expect(transport.attempts.allSatisfy { $0.body == body })
        await #expect(throws: ImportFault.unavailable(.queueFull)) { try await other.outbox.importWrites(read + read) }
        #expect(other.outbox.committedCounts.accepted == 3, "all or none")
        #expect(try await other.findings() == [])
        await other.stop()
    }

    @Test(arguments: [
        Sample.contact(2).path, "/v1/messages", Sample.contact(1).path + "/", Sample.contact(1).path + "/history",
        "http://127.0.0.1" + Sample.contact(1).path, "", Sample.contact(1).path + "?a HTTP/1.1\r\nX: y",
    ])
    func `a write whose target is not that of its contact is not imported: it would go past the lane of another`(
        _ target: String
    ) async throws {
        let rig = try rig()
        replies.contact(1, Sample.unreachable)
        let id = try await rig.accept(1, 1)
        var writes = try await rig.outbox.export(WriteSelection()).writes
        writes.append(writes[0])
        #expect(try await rig.outbox.importWrites(writes).count == 2)
        // A key that could have been sealed by an earlier release, and cannot be sent as it is.
        let (vault, odd) = (rig.outbox.keys.vault, Secret("caf\u{E9}"))
        let fingerprint = vault.fingerprint(odd)
        var malformed = writes
        malformed[1].keyFingerprint = Data(fingerprint.bytes)
        malformed[1].sealedKey = Data(try vault.seal(odd, fingerprint: fingerprint))
        await #expect(throws: ImportFault.keyMalformed(id: malformed[1].id)) {
            try await rig.outbox.importWrites(malformed)
        }
        writes[1].target = target
        await #expect(throws: ImportFault.targetElsewhere(id: id.description)) {
            try await rig.outbox.importWrites(writes)
        }
        writes[1].target =
            Sample.contact(1).path.uppercased().replacing("/V1/AUDIENCES/", with: "/v1/audiences/")
            .replacing("/CONTACTS/", with: "/contacts/") + "?a=b"
        #expect(try await rig.outbox.importWrites(writes).count == 2)
        #expect(rig.outbox.committedCounts.accepted == 5, "all of them or none")
        await rig.stop()
    }

    // MARK: - Deaths

    @Test func `each death is told once it is durable, and stays untold in the database until somebody was`()
        async throws
    {
        let told = Mutex<[WriteID]>([])
        let rig = try rig()
        rig.outbox.setDeathObserver { dead in told.withLock { $0.append(dead) } }
        replies.contact(1, Sample.outcome(422))
        let first = try await rig.accept(1, 1)
        try await rig.waitFor(first, .dead)
        let second = try await rig.accept(2, 1)
        try await eventually("both to be told") { told.withLock { $0.count } == 2 }
        let untold = try await rig.outbox.untoldDeadWrites(limit: 10)
        let dead = try #require(untold.first)
        #expect(
            dead.id == first && dead.status == 422 && dead.body == Array(Sample.apiError.utf8)
                && dead.reason == "status 422"
        )
        #expect(dead.keyFingerprint == rig.outbox.keys.key(for: Secret("api-key")).fingerprint.description)
        #expect(dead.attempts == 1 && dead.acceptedAtMilliseconds <= dead.endedAtMilliseconds)
        #expect(untold.map(\.id) == [first, second])
        try await rig.outbox.markTold([dead])
        try await rig.outbox.tellLater([untold[1]], milliseconds: 3_600_000)
        #expect(try await rig.outbox.untoldDeadWrites(limit: 10) == [])
        #expect(try await rig.outbox.untoldDeadWriteCount() == 1)
        try await rig.outbox.tellLater([untold[1]], milliseconds: -1)
        await rig.stop()
        let again = try self.rig()
        let later = try await again.outbox.untoldDeadWrites(limit: 10)
        #expect(later.map(\.id) == [second] && later[0].tellAttempts == 2)
        await again.stop()
    }

    @Test
    func `a death is not told of a write that was discarded, and told anew of one that was retried and died again`()
        async throws
    {
        let rig = try rig()
        replies.contact(1, Sample.outcome(422))
        let first = try await rig.accept(1, 1)
        let second = try await rig.accept(2, 1)
        for id in [first, second] { try await rig.waitFor(id, .dead) }
        let before = try await rig.outbox.untoldDeadWrites(limit: 10)
        #expect(before.map(\.id) == [first, second])
        #expect(try await rig.outbox.discard(WriteSelection(ids: [second])).changed == 1)
        #expect(try await rig.outbox.untoldDeadWrites(limit: 10).map(\.id) == [first])
        // The wall clock has moved on by the time of the second death: it is another one.
        try await eventually("the next millisecond") { RelayClock.wallMilliseconds() > before[0].endedAtMilliseconds }
        #expect(try await rig.outbox.retry(WriteSelection(ids: [first])).changed == 1)
        try await eventually("the second death") {
            let dead = try await rig.outbox.untoldDeadWrites(limit: 1).first
            return dead.map { $0.endedAtMilliseconds > before[0].endedAtMilliseconds } ?? false
        }
        // Whoever was told of the first death was not told of the second.
        try await rig.outbox.markTold(before)
        let after = try await rig.outbox.untoldDeadWrites(limit: 10)
        #expect(after.map(\.id) == [first] && after[0].deathID != before[0].deathID)
        try await rig.outbox.markTold(after)
        #expect(try await rig.outbox.untoldDeadWriteCount() == 0)
        await rig.stop()
    }
}
