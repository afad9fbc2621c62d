import DexatelAPI
import TestSupport
import Testing

@testable import Outbox

/// What happens to writes is counted beside the books (P2).
@Suite struct WriteTransitionsTests {
    private let directory: TemporaryDirectory
    private let replies = Replies()

    init() throws { directory = try TemporaryDirectory() }

    @Test func `each end and each attempt is counted once, and a write that dies twice counts twice`() async throws {
        replies.contact(1, Sample.outcome(422))
        replies.contact(2, Sample.outcome(403))
        let gate = Gate()
        let transport = ScriptedTransport { [replies] attempt, _ in
            if attempt.contact == Sample.contact(3) { await gate.pass() }
            return replies.outcome(attempt)
        }
        let rig = try OutboxRig(directory, transport) { $0.holdProbeMilliseconds = 600_000 }
        func transitions() async -> WriteTransitions { await rig.outbox.status().transitions }
        rig.submit(1, 1)
        #expect(try await rig.answer(1).status == 422)
        let dead = try await rig.accept(2, 1)
        try await rig.waitFor(dead, .dead)
        #expect(try await rig.outbox.retry(WriteSelection(ids: [dead])).changed == 1)
        try await eventually("another death") { await transitions().dead == 2 }
        #expect(try await rig.outbox.discard(WriteSelection(ids: [dead])).changed == 1)
        let held = try await rig.accept(3, 2)
        try await rig.waitFor(held, .held)
        #expect(try await rig.outbox.discard(WriteSelection(ids: [held])).changed == 1)
        try await rig.accept(4, 3, body: #"{"data":{"tags":0}}"#)
        try await eventually("an attempt") { gate.waitingCount == 1 }
        try await rig.accept(5, 3, body: #"{"data":{"date":"1"}}"#)
        try await rig.accept(6, 3, body: #"{"data":{"date":"2"}}"#)
        gate.open()
        try await rig.counts("all to end") { $0.pending == 0 }
        var expected = WriteTransitions()
        (expected.delivered, expected.rejected, expected.superseded) = (2, 1, 1)
        (expected.dead, expected.discarded, expected.retried) = (2, 2, 1)
        (expected.attempts.delivered, expected.attempts.refused, expected.attempts.held) = (2, 3, 1)
        #expect(await transitions() == expected)
        await rig.stop()
    }

    @Test func `attempts that are to be repeated are told apart by whether there was a reply; what expires had none`()
        async throws
    {
        replies.contact(1, Sample.outcome(500))
        replies.contact(2, Sample.timeout)
        let rig = try OutboxRig(directory, replies.transport, backoffMilliseconds: 60_000) {
            $0.maxAgeMilliseconds = 300
        }
        try await rig.accept(1, 1)
        try await rig.accept(2, 2)
        try await rig.counts("both to expire") { $0.dead == 2 }
        let transitions = await rig.outbox.status().transitions
        #expect(transitions.attempts.unready == 1 && transitions.attempts.failed == 1)
        #expect(transitions.attempts.refused == 0 && transitions.dead == 2)
        await rig.stop()
    }
}
