import DexatelAPI
import NIOCore
import TestSupport
import Testing

@testable import Outbox

/// What an operator may send again (design §3.3, the replay rule), over the whole outbox.
@Suite struct ReplayOperationTests {
    private let directory: TemporaryDirectory
    private let replies = Replies()

    init() throws { directory = try TemporaryDirectory() }

    private func rig(_ semantics: PutSemantics = .unknown) throws -> (OutboxRig, ScriptedTransport) {
        let transport = replies.transport
        let rig = try OutboxRig(directory, transport) {
            $0.putSemantics = semantics
            $0.holdProbeMilliseconds = 20
        }
        return (rig, transport)
    }

    /// A dead write to contact 1, then later ones that are delivered.
    private func makeDead(_ rig: OutboxRig, _ body: String, then later: [String]) async throws -> WriteID {
        replies.contact(1, Sample.outcome(422))
        let dead = try await rig.accept(1, 1, body: body)
        try await rig.waitFor(dead, .dead)
        replies.contact(1, nil)
        for (index, body) in later.enumerated() {
            let id = try await rig.accept(UInt64(10 + index), 1, body: body)
            try await rig.waitFor(id, .delivered)
        }
        return dead
    }

    @Test func `a dead write is sent again when nothing later was delivered, byte for byte`() async throws {
        let (rig, transport) = try rig()
        let body = #"{ "data" : {"date":"1"} }"#
        let dead = try await makeDead(rig, body, then: [])
        // The database shows a state a moment before memory does.
        let key = rig.outbox.keys.key(for: Secret("api-key"))
        try await eventually("the dead write to count") { rig.outbox.deadCount(Sample.contact(1), of: key) == 1 }
        let result = try await rig.outbox.retry(WriteSelection(ids: [dead]))
        #expect(result == OperationResult(changed: 1))
        try await rig.waitFor(dead, .delivered)
        #expect(transport.attempts.map(\.body) == [body, body])
        try await eventually("no dead write to count") { rig.outbox.deadCount(Sample.contact(1), of: key) == 0 }
        #expect(try await rig.findings() == [])
        await rig.stop()
    }

    @Test(arguments: [PutSemantics.unknown, .replace])
    func `after a newer delivery a retry is refused, unless it is forced`(_ semantics: PutSemantics) async throws {
        let (rig, transport) = try rig(semantics)
        let dead = try await makeDead(rig, #"{"data":{"date":"1"}}"#, then: [#"{"data":{"first_name":"B"}}"#])
        let refused = try await rig.outbox.retry(WriteSelection(ids: [dead]))
        #expect(refused.changed == 0 && refused.refusals == [.init(id: dead, reason: .overtaken)])
        #expect(try await rig.state(dead) == .dead)
        let forced = try await rig.outbox.retry(WriteSelection(ids: [dead]), isForced: true)
        #expect(forced.changed == 1)
        try await rig.waitFor(dead, .delivered)
        #expect(transport.attempts.last?.body == #"{"data":{"date":"1"}}"#)
        #expect(try await rig.findings() == [])
        await rig.stop()
    }

    @Test func `where the upstream merges, the fields that were set since are left out and the rest is sent`()
        async throws
    {
        let (rig, transport) = try rig(.merge)
        let dead = try await makeDead(
            rig,
            #"{"data":{"date":"1","custom1":"t","tags":[ 1,2 ],"first_name":"\u0041"}}"#,
            then: [#"{"data":{"date":"2"}}"#, #"{"data":{"timestamp":"3"}}"#]
        )
        #expect(try await rig.outbox.retry(WriteSelection(ids: [dead])).changed == 1)
        try await rig.waitFor(dead, .delivered)
        #expect(transport.attempts.last?.body == #"{"data":{"tags":[ 1,2 ],"first_name":"\u0041"}}"#)
        #expect(try await rig.findings() == [], "the bytes of the shorter body are counted")
        await rig.stop()
    }

    @Test func `where the upstream merges, nothing is sent when all of it was set since, or the contact deleted`()
        async throws
    {
        let (rig, _) = try rig(.merge)
        let dead = try await makeDead(rig, #"{"data":{"date":"1"}}"#, then: [#"{"data":{"date":"2","tags":1}}"#])
        var result = try await rig.outbox.retry(WriteSelection(ids: [dead]))
        #expect(result.refusals == [.init(id: dead, reason: .nothingLeft)])
        replies.contact(2, Sample.outcome(422))
        let other = try await rig.accept(30, 2, body: #"{"data":{"date":"1"}}"#)
        try await rig.waitFor(other, .dead)
        replies.contact(2, nil)
        let delete = try await rig.accept(31, 2, method: .delete)
        try await rig.waitFor(delete, .delivered)
        result = try await rig.outbox.retry(WriteSelection(ids: [other]))
        #expect(result.refusals == [.init(id: other, reason: .overtaken)])
        await rig.stop()
    }

    @Test(arguments: PutSemantics.allCases)
    func `reads are not shown what was held and overtaken, or only what is left of it`(_ semantics: PutSemantics)
        async throws
    {
        let transport = replies.transport
        let rig = try OutboxRig(directory, transport) { $0.putSemantics = semantics }
        replies.contact(1, Sample.outcome(403))
        let held = try await rig.accept(1, 1, body: #"{"data":{"date":"1","first_name":"A"}}"#)
        try await rig.waitFor(held, .held)
        let key = rig.outbox.keys.key(for: Secret("api-key"))
        let shown = {
            try await rig.outbox.pendingWrites(to: [Sample.contact(1)], of: key).writes
                .map { String(buffer: $0.body ?? ByteBuffer()) }
        }
        #expect(try await shown() == [#"{"data":{"date":"1","first_name":"A"}}"#])
        replies.contact(1, nil)
        let later = try await rig.accept(2, 1, body: #"{"data":{"date":"2"}}"#)
        try await rig.waitFor(later, .delivered)
        #expect(try await rig.state(held) == .held)
        #expect(try await shown() == (semantics == .merge ? [#"{"data":{"first_name":"A"}}"#] : []))
        await rig.stop()
    }

    @Test func `what was delivered since is known when its receipt is long gone, and after a restart`() async throws {
        let (first, _) = try rig()
        let dead = try await makeDead(first, #"{"data":{"date":"1"}}"#, then: [#"{"data":{"date":"2"}}"#])
        await first.stop()
        let rig = try OutboxRig(directory, replies.transport) { $0.maxReceipts = 0 }
        let later = try await rig.accept(40, 5)
        try await rig.counts("the receipts to be gone") { $0.receipts == 0 && $0.delivered == 2 }
        #expect(try await rig.outbox.show(later) == nil)
        let result = try await rig.outbox.retry(WriteSelection(states: [.dead]))
        #expect(result.refusals == [.init(id: dead, reason: .overtaken)])
        await rig.stop()
    }

    // MARK: - Held writes

    @Test func `a junk key's write at the head of a contact is overtaken by a good key's, and says so`() async throws {
        let (rig, transport) = try rig()
        replies.key("junk", Sample.outcome(401))
        let gate = Sample.contact(1)
        let junk = try await rig.accept(1, 1, key: "junk", body: #"{"data":{"date":"1"}}"#)
        try await rig.waitFor(junk, .held)
        let good = try await rig.accept(2, 1, key: "good", body: #"{"data":{"date":"2"}}"#)
        try await rig.waitFor(good, .delivered)
        replies.key("junk", nil)
        // No probe is sent with it: it would undo what was delivered.
        let other = try await rig.accept(3, 2, key: "junk")
        try await rig.waitFor(other, .delivered)
        try await eventually("it to be overtaken") {
            try await rig.outbox.show(junk)?.entry.receipt.hold == .overtaken
        }
        #expect(transport.attempts.filter { $0.contact == gate }.last?.apiKey == Secret("good"))
        let refused = try await rig.outbox.release(WriteSelection(ids: [junk]))
        #expect(refused.refusals == [.init(id: junk, reason: .overtaken)])
        #expect(try await rig.outbox.release(WriteSelection(ids: [junk]), isForced: true).changed == 1)
        try await rig.waitFor(junk, .delivered)
        #expect(try await rig.findings() == [])
        await rig.stop()
    }

    @Test func `where the upstream merges, a held write comes back without what was set since, or not at all`()
        async throws
    {
        let (rig, transport) = try rig(.merge)
        replies.key("junk", Sample.outcome(401))
        let held = try await rig.accept(1, 1, key: "junk", body: #"{"data":{"date":"1","tags":7}}"#)
        try await rig.waitFor(held, .held)
        let empty = try await rig.accept(2, 2, key: "junk", body: #"{"data":{"date":"1"}}"#)
        for contact in 1...2 {
            let id = try await rig.accept(UInt64(10 + contact), contact, key: "good", body: #"{"data":{"date":"2"}}"#)
            try await rig.waitFor(id, .delivered)
        }
        replies.key("junk", nil)
        try await rig.waitFor(held, .delivered)
        #expect(transport.attempts.contains { $0.body == #"{"data":{"tags":7}}"# })
        try await rig.waitFor(empty, .superseded)
        #expect(
            try await rig.outbox.show(empty)?.entry.receipt.supersededBy == nil,
            "another key's write is not named"
        )
        #expect(try await rig.findings() == [])
        await rig.stop()
    }

    @Test func `a 403 holds one write, which an operator or its next try lets go`() async throws {
        let (rig, _) = try rig()
        replies.contact(1, Sample.outcome(403))
        let held = try await rig.accept(1, 1)
        try await rig.waitFor(held, .held)
        #expect(try await rig.outbox.show(held)?.entry.receipt.hold == .write)
        let other = try await rig.accept(2, 2)
        try await rig.waitFor(other, .delivered)
        replies.contact(1, nil)
        try await rig.waitFor(held, .delivered)
        #expect(rig.outbox.committedCounts.held == 0)
        await rig.stop()
    }

    @Test func `a timed-out DELETE that took effect is delivered by the 404 to its second try`() async throws {
        let transport = ScriptedTransport { _, number in
            number == 0 ? Sample.timeout : Sample.outcome(404, Sample.contactNotFound)
        }
        let rig = try OutboxRig(directory, transport)
        rig.submit(1, 1, method: .delete)
        #expect(try await rig.answer(1).status == 202, "the wait ends at the first retryable outcome")
        try await rig.waitFor(1, .delivered)
        let receipt = try #require(try await rig.receipt(1))
        #expect(receipt.isAmbiguous && receipt.attempts == 2)
        #expect(receipt.lastAttempts.entries.map(\.status) == [nil, 404])
        #expect(receipt.lastAttempts.entries[0].error == "timeout")
        await rig.stop()
    }
}
