import DexatelAPI
import TestSupport
import Testing

@testable import Outbox

/// That the upstream takes a key is remembered before the key has written anything.
@Suite struct VerifiedKeyTests {
    private let directory: TemporaryDirectory

    init() throws { directory = try TemporaryDirectory() }

    private func rig() throws -> OutboxRig {
        let transport = ScriptedTransport { _, _ in Sample.unreachable }
        return try OutboxRig(directory, transport, backoffMilliseconds: 60_000) { $0.maxPendingUnverifiedPerKey = 1 }
    }

    @Test func `a key that has only read is known over a restart, and the key itself is not in the outbox`()
        async throws
    {
        let first = try rig()
        let reader = first.outbox.keys.key(for: Secret("planted-reader"))
        for _ in 1...3 { first.outbox.noteTaken(reader) }
        try await eventually("a row") { try await first.outbox.keySummaries().count == 1 }
        let summary = try await first.outbox.keySummaries()[0]
        #expect(summary.verifiedAtMilliseconds != nil && !summary.isSealed && summary.pending == 0)
        #expect(try await first.findings() == [])
        await first.stop()
        let second = try rig()
        for token in 1...3 as ClosedRange<UInt64> {
            #expect(second.submit(token, 1, key: "planted-reader", wait: 0) == nil)
        }
        #expect(second.submit(4, 1, key: "other", wait: 0) == nil)
        #expect(second.submit(5, 1, key: "other", wait: 0) == .unverifiedKeyLimit)
        try await second.sink.waitForAnswers(4)
        let summaries = try await second.outbox.keySummaries()
        #expect(summaries.map(\.isSealed) == [true, true] && summaries[0].pending == 3)
        #expect(try await second.findings() == [])
        await second.stop()
        let third = try rig()
        #expect(third.submit(6, 1, key: "planted-reader", wait: 0) == nil)
        #expect(third.outbox.keys.unverifiedKeys == 1)
        await third.stop()
        #expect(try directory.files(containing: "planted-reader") == [])
    }

    @Test func `a key that is refused for writes is not taken by a read`() async throws {
        let rig = try OutboxRig(directory, ScriptedTransport { _, _ in Sample.outcome(401) })
        rig.submit(1, 1, key: "junk")
        #expect(try await rig.answer(1).status == 401)
        let key = rig.outbox.keys.key(for: Secret("junk"))
        rig.outbox.noteTaken(key)
        #expect(!key.isVerified)
        await rig.stop()
    }

    @Test func `a write and a read that come together make one row`() async throws {
        let rig = try rig()
        for number in 1...20 {
            let name = "key-\(number)"
            rig.submit(UInt64(number), number, key: name, wait: 0)
            rig.outbox.noteTaken(rig.outbox.keys.key(for: Secret(name)))
        }
        try await rig.sink.waitForAnswers(20)
        try await eventually("all to be verified") {
            try await rig.outbox.keySummaries().filter { $0.verifiedAtMilliseconds != nil && $0.isSealed }.count == 20
        }
        #expect(try await rig.outbox.keySummaries().count == 20 && rig.outbox.keys.unverifiedKeys == 0)
        await rig.stop()
    }
}
