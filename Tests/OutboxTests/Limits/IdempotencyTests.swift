import DexatelAPI
import TestSupport
import Testing

@testable import Outbox

/// `Idempotency-Key` (IETF draft): the same key and content are one write.
@Suite struct IdempotencyTests {
    private let directory: TemporaryDirectory
    private let replies = Replies()

    init() throws { directory = try TemporaryDirectory() }

    @Test func `a repeated write is not accepted again, while it is pending, when it has ended, and after a restart`()
        async throws
    {
        replies.contact(1, Sample.unreachable)
        let first = try OutboxRig(directory, replies.transport, backoffMilliseconds: 20)
        first.submit(1, 1, wait: 0, body: "{}", idempotencyKey: "k")
        let id = try #require(try await first.answer(1).writeID)
        first.submit(2, 1, wait: 60_000, body: "{}", idempotencyKey: "k")
        guard case .repeated(let receipt) = try await first.answer(2) else {
            Issue.record("it is repeated")
            return
        }
        #expect(receipt.id == id && receipt.state == .pending)
        #expect(first.outbox.committedCounts.accepted == 1)
        replies.contact(1, nil)
        try await first.waitFor(id, .delivered)
        await first.stop()
        let rig = try OutboxRig(directory, replies.transport)
        rig.submit(3, 1, wait: 0, body: "{}", idempotencyKey: "k")
        guard case .repeated(let again) = try await rig.answer(3) else {
            Issue.record("it is repeated")
            return
        }
        #expect(again.id == id && again.state == .delivered && again.responseStatus == 200)
        #expect(rig.outbox.committedCounts.accepted == 1)
        #expect(rig.outbox.keys.key(for: Secret("api-key")).pendingCount == 0, "it takes no room")
        await rig.stop()
    }

    @Test func `another content under the same key is a conflict; another API key is another matter`() async throws {
        let rig = try OutboxRig(directory, replies.transport)
        rig.submit(1, 1, wait: 0, body: "{}", idempotencyKey: "k")
        _ = try await rig.answer(1)
        rig.submit(2, 1, wait: 0, body: "{ }", idempotencyKey: "k")
        rig.submit(3, 1, method: .delete, wait: 0, body: "{}", idempotencyKey: "k")
        rig.submit(4, 1, key: "other", wait: 0, body: "{ }", idempotencyKey: "k")
        #expect(try await rig.answer(2).status == 422)
        #expect(try await rig.answer(3).status == 422)
        #expect(try await rig.answer(4).status == 202)
        try await rig.counts("two to be accepted") { $0.accepted == 2 }
        await rig.stop()
    }

    @Test(arguments: [(401, true), (403, true), (422, false)])
    func `a refusal that is not final is not remembered: the same write is sent anew`(_ status: Int, _ isSentAnew: Bool)
        async throws
    {
        let rig = try OutboxRig(directory, replies.transport)
        replies.contact(1, Sample.outcome(status))
        rig.submit(1, 1, body: "{}", idempotencyKey: "k")
        #expect(try await rig.answer(1).status == status)
        replies.contact(1, nil)
        rig.submit(2, 1, body: "{}", idempotencyKey: "k")
        let second = try await rig.answer(2)
        if isSentAnew { #expect(second.status == 200) }
        rig.submit(3, 1, body: "{}", idempotencyKey: "k")
        guard case .repeated(let receipt) = try await rig.answer(3) else {
            Issue.record("what is final is remembered")
            return
        }
        #expect(receipt.responseStatus == (isSentAnew ? 200 : status))
        #expect(replies.attempts.count == (isSentAnew ? 2 : 1))
        await rig.stop()
    }

    @Test func `repetitions in one batch are one write`() async throws {
        let rig = try OutboxRig(directory, ScriptedTransport { _, _ in Sample.unreachable })
        let writes = (1...50 as ClosedRange<UInt64>).map { token in
            rig.write(token, 1, body: token == 7 ? "{ }" : "{}", idempotencyKey: "same")
        }
        for write in writes { #expect(rig.outbox.admit(write) == nil) }
        rig.outbox.submitAdmitted(writes)
        try await rig.sink.waitForAnswers(50)
        #expect(rig.outbox.committedCounts.accepted == 1)
        #expect(Set(rig.sink.all.values.compactMap { $0[0].writeID }).count == 1)
        #expect(rig.sink.answers(to: 7).map(\.status) == [422])
        #expect(rig.outbox.keys.key(for: Secret("api-key")).pendingCount == 1)
        await rig.stop()
    }

    @Test(arguments: [401, 403])
    func `a refusal that its sender saw and that is not final is not remembered`(_ status: Int) async throws {
        replies.contact(1, Sample.outcome(status))
        let rig = try OutboxRig(directory, replies.transport)
        rig.submit(1, 1, body: "{}", idempotencyKey: "k")
        #expect(try await rig.answer(1).status == status)
        replies.contact(1, nil)
        rig.submit(2, 1, body: "{}", idempotencyKey: "k")
        #expect(try await rig.answer(2).status == 200)
        rig.submit(3, 1, body: "{}", idempotencyKey: "k")
        guard case .repeated(let receipt) = try await rig.answer(3) else {
            Issue.record("what is final is remembered")
            return
        }
        #expect(try await rig.answer(2).writeID == receipt.id)
        #expect(rig.outbox.committedCounts.accepted == 2)
        await rig.stop()
    }

    @Test func `a refusal of what the write says is remembered`() async throws {
        replies.contact(1, Sample.outcome(422))
        let rig = try OutboxRig(directory, replies.transport)
        rig.submit(1, 1, body: "{}", idempotencyKey: "k")
        #expect(try await rig.answer(1).status == 422)
        replies.contact(1, nil)
        rig.submit(2, 1, body: "{}", idempotencyKey: "k")
        guard case .repeated(let receipt) = try await rig.answer(2) else {
            Issue.record("it is repeated")
            return
        }
        #expect(receipt.responseStatus == 422 && rig.outbox.committedCounts.accepted == 1)
        await rig.stop()
    }

    @Test func `a write that is repeated while its sender waits is acknowledged to both`() async throws {
        let gate = Gate()
        let transport = ScriptedTransport { _, _ in
            await gate.pass()
            return Sample.outcome(401)
        }
        let rig = try OutboxRig(directory, transport)
        rig.submit(1, 1, body: "{}", idempotencyKey: "k")
        try await rig.counts("it to be accepted") { $0.accepted == 1 }
        rig.submit(2, 1, body: "{}", idempotencyKey: "k")
        #expect(try await rig.answer(1).status == 202)
        #expect(try await rig.answer(2).status == 202)
        gate.open()
        try await rig.waitFor(1, .held)
        await rig.stop()
    }

    @Test func `the key is forgotten with its receipt`() async throws {
        let rig = try OutboxRig(directory, replies.transport) { $0.maxReceipts = 1 }
        rig.submit(1, 1, wait: 0, idempotencyKey: "k")
        try await rig.waitFor(1, .delivered)
        rig.submit(2, 2, wait: 0)
        try await rig.waitFor(2, .delivered)
        rig.submit(3, 1, wait: 0, idempotencyKey: "k")
        try await rig.counts("it to be accepted") { $0.accepted == 3 }
        await rig.stop()
    }
}
