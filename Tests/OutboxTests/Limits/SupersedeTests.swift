import DexatelAPI
import TestSupport
import Testing

@testable import Outbox

/// Superseding over the whole outbox: receipts and books (design §3.4, P2).
@Suite struct SupersedeTests {
    private let directory: TemporaryDirectory
    private let replies = Replies()

    init() throws { directory = try TemporaryDirectory() }

    @Test func `a superseded write points at its successor, and its body is gone`() async throws {
        let gate = Gate()
        let transport = ScriptedTransport { _, number in
            if number == 0 { await gate.pass() }
            return Sample.outcome(200)
        }
        let rig = try OutboxRig(directory, transport)
        let first = try await rig.accept(1, 1, body: #"{"data":{"tags":0}}"#)
        try await eventually("an attempt") { gate.waitingCount == 1 }
        let covered = try await rig.accept(2, 1, body: #"{"data":{"date":"planted-covered"}}"#)
        let last = try await rig.accept(3, 1, body: #"{"data":{"date":"2","first_name":"A"}}"#)
        #expect(try await rig.state(covered) == .pending, "covered, not ended")
        gate.open()
        try await rig.waitFor(last, .delivered)
        let receipt = try #require(try await rig.outbox.show(covered)?.entry.receipt)
        #expect(receipt.state == .superseded && receipt.supersededBy == last && receipt.attempts == 0)
        #expect(transport.attempts.count == 2)
        let counts = rig.outbox.committedCounts
        #expect(counts.superseded == 1 && counts.delivered == 2 && counts.pending == 0 && counts.storedBytes == 0)
        #expect(rig.outbox.keys.key(for: Secret("api-key")).pendingCount == 0)
        #expect(try await rig.state(first) == .delivered)
        #expect(try await rig.findings() == [])
        await rig.stop()
        #expect(try directory.files(containing: "planted-covered") == [])
    }

    @Test func `a superseding write that is refused leaves the covered one to be delivered`() async throws {
        let gate = Gate()
        let transport = ScriptedTransport { attempt, number in
            if number == 0 { await gate.pass() }
            return attempt.body.contains("bad") ? Sample.outcome(422) : Sample.outcome(200)
        }
        let rig = try OutboxRig(directory, transport)
        try await rig.accept(1, 1, body: #"{"data":{"tags":0}}"#)
        try await eventually("an attempt") { gate.waitingCount == 1 }
        let covered = try await rig.accept(2, 1, body: #"{"data":{"date":"1"}}"#)
        let bad = try await rig.accept(3, 1, body: #"{"data":{"date":"bad"}}"#)
        gate.open()
        try await rig.waitFor(covered, .delivered)
        #expect(try await rig.state(bad) == .dead)
        #expect(transport.attempts.map(\.body).suffix(2) == [#"{"data":{"date":"bad"}}"#, #"{"data":{"date":"1"}}"#])
        #expect(rig.outbox.committedCounts.superseded == 0)
        let retried = try await rig.outbox.retry(WriteSelection(ids: [bad]))
        #expect(retried.changed == 1, "it was accepted later than what was delivered")
        await rig.stop()
    }

    @Test func `a backlog is superseded as well, from what the database keeps of it`() async throws {
        let down = try OutboxRig(
            directory,
            ScriptedTransport { _, _ in Sample.unreachable },
            backoffMilliseconds: 60_000
        )
        for token in 1...30 as ClosedRange<UInt64> {
            try await down.accept(token, 1, body: #"{"data":{"date":"\#(token)"}}"#)
        }
        await down.stop()
        let transport = replies.transport
        let rig = try OutboxRig(directory, transport)
        let counts = try await rig.counts("all to end") { $0.pending == 0 }
        #expect(counts.superseded == 29 && counts.delivered == 1)
        #expect(transport.attempts.map(\.body) == [#"{"data":{"date":"30"}}"#])
        await rig.stop()
    }
}
