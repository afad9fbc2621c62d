import DexatelAPI
import TestSupport
import Testing

@testable import Outbox

/// Keys that somebody makes up cost little, and nothing to others (P8).
@Suite struct JunkKeyTests {
    private static let limit = 64

    private let directory: TemporaryDirectory

    init() throws { directory = try TemporaryDirectory() }

    private func rig() throws -> OutboxRig {
        let transport = ScriptedTransport { attempt, _ in
            attempt.apiKey == Secret("good") ? Sample.outcome(200) : Sample.outcome(401)
        }
        return try OutboxRig(directory, transport) {
            $0.maxUnverifiedKeys = Self.limit
            $0.holdProbeMilliseconds = 600_000
        }
    }

    @Test
    func `keys that the upstream refuses are forgotten when there are too many, with what their senders have seen`()
        async throws
    {
        let first = try rig()
        first.submit(1_000, 1, key: "good")
        #expect(try await first.answer(1_000).status == 200)
        for token in 1...100 as ClosedRange<UInt64> {
            try await eventually("room for \(token)") {
                first.submit(token, Int(token), key: "junk-\(token)") != .keyLimit
            }
            #expect(try await first.answer(token).status == 401)
            #expect(first.outbox.keys.unverifiedKeys <= Self.limit)
        }
        try await eventually("all but the last to be forgotten") { first.outbox.keys.unverifiedKeys < Self.limit }
        let summaries = try await first.outbox.keySummaries()
        #expect(summaries.count <= Self.limit && summaries.contains { $0.verifiedAtMilliseconds != nil })
        let counts = first.outbox.committedCounts
        #expect(counts.rejected == 100 && counts.isBalanced && counts.receipts <= Self.limit)
        #expect(try await first.receipt(100, key: "junk-100")?.state == .rejected, "the newest are known")
        #expect(try await first.receipt(1, key: "junk-1") == nil)
        #expect(try await first.receipt(1_000, key: "good")?.state == .delivered)
        #expect(try await first.findings() == [])
        await first.stop()
        let rig = try rig()
        #expect(rig.outbox.keys.unverifiedKeys == summaries.count - 1)
        #expect(rig.outbox.committedCounts == counts)
        await rig.stop()
    }

    @Test func `where none can be forgotten a new key is refused, and keys that are known are not`() async throws {
        let rig = try rig()
        rig.submit(1_000, 1, key: "good")
        #expect(try await rig.answer(1_000).status == 200)
        for token in 1...UInt64(Self.limit) {
            #expect(rig.submit(token, Int(token), key: "junk-\(token)", wait: 0) == nil)
        }
        try await rig.counts("all to be held") { $0.held == Int64(Self.limit) }
        #expect(rig.submit(100, 1, key: "another") == .keyLimit)
        #expect(rig.submit(101, 1, key: "junk-1", wait: 0) == nil)
        #expect(rig.submit(102, 1, key: "good") == nil)
        #expect(try await rig.answer(102).status == 200)
        let id = try #require(try await rig.answer(2).writeID)
        #expect(try await rig.outbox.discard(WriteSelection(ids: [id])).changed == 1)
        try await eventually("room") { rig.submit(103, 1, key: "another", wait: 0) == nil }
        try await rig.counts("it to be held, too") { $0.held == Int64(Self.limit) + 1 }
        #expect(try await rig.findings() == [])
        await rig.stop()
    }
}
