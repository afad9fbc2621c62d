import DexatelAPI
import Foundation
import TestSupport
import Testing

@testable import Outbox

/// Bounds that are felt before the acknowledgement, and times that end things (design §2.3, P8).
@Suite struct LimitTests {
    private let directory: TemporaryDirectory
    private let replies = Replies()

    init() throws { directory = try TemporaryDirectory() }

    private func rig(_ change: (inout OutboxConfiguration) -> Void) throws -> OutboxRig {
        try OutboxRig(directory, replies.transport, backoffMilliseconds: 60_000, change)
    }

    @Test func `held and dead writes count against the bounds, exactly, and over a restart`() async throws {
        replies.contact(1, Sample.outcome(422))
        replies.contact(2, Sample.outcome(403))
        replies.contact(3, Sample.unreachable)
        let limits: @Sendable (inout OutboxConfiguration) -> Void = { $0.maxPending = 6 }
        let first = try rig(limits)
        for token in 1...6 as ClosedRange<UInt64> { try await first.accept(token, Int(token % 3) + 1) }
        try await first.counts("all to be tried") { $0.dead == 2 && $0.held == 2 }
        #expect(first.submit(7, 9) == .queueFull)
        await first.stop()
        let rig = try rig(limits)
        #expect(rig.submit(8, 9) == .queueFull)
        #expect(try await rig.outbox.discard(WriteSelection(states: [.dead])).changed == 2)
        #expect(rig.submit(9, 9) == nil)
        try await rig.waitFor(9, .delivered)
        await rig.stop()
    }

    @Test func `bytes are counted the same way`() async throws {
        replies.contact(1, Sample.unreachable)
        let body = String(repeating: "x", count: 1_000)
        let size = Sample.payload(body, target: Sample.contact(1).path).storedBytes
        let rig = try rig { $0.maxPendingBytes = 3 * size }
        for token in 1...3 as ClosedRange<UInt64> { try await rig.accept(token, 1, body: body) }
        #expect(rig.submit(4, 1, body: body) == .queueFull)
        #expect(rig.submit(4, 1, body: "") == .queueFull)
        await rig.stop()
    }

    @Test func `a key with its fill of dead writes gets no more in, and others do`() async throws {
        replies.key("bad", Sample.outcome(422))
        let limits: @Sendable (inout OutboxConfiguration) -> Void = { $0.maxDead = 3 }
        let first = try rig(limits)
        for token in 1...3 as ClosedRange<UInt64> { try await first.accept(token, 1, key: "bad") }
        try await first.counts("three to be dead") { $0.dead == 3 }
        #expect(first.submit(4, 1, key: "bad") == .deadLimit)
        try await first.accept(5, 1, key: "good")
        await first.stop()
        let rig = try rig(limits)
        #expect(rig.submit(6, 1, key: "bad") == .deadLimit)
        let bad = rig.outbox.keys.key(for: Secret("bad"))
        #expect(rig.outbox.deadCount(Sample.contact(1), of: bad) == 3)
        #expect(rig.outbox.deadCount(Sample.contact(2), of: bad) == 0)
        #expect(rig.outbox.deadCount(Sample.contact(1), of: rig.outbox.keys.key(for: Secret("good"))) == 0)
        _ = try await rig.outbox.discard(WriteSelection(states: [.dead]))
        #expect(rig.submit(7, 1, key: "bad") == nil)
        await rig.stop()
    }

    @Test func `beyond max_receipts the oldest receipts go first, and no dead write`() async throws {
        replies.contact(7, Sample.outcome(422))
        let rig = try rig { $0.maxReceipts = 5 }
        let dead = try await rig.accept(100, 7)
        try await rig.waitFor(dead, .dead)
        var ids: [WriteID] = []
        for token in 1...12 as ClosedRange<UInt64> {
            let id = try await rig.accept(token, 1)
            try await rig.counts("it to be delivered") { $0.delivered == Int64(token) }
            ids.append(id)
            #expect(rig.outbox.committedCounts.receipts == min(Int64(token), 5), "never more, not even for a moment")
        }
        for (index, id) in ids.enumerated() { #expect(try await rig.state(id) == (index < 7 ? nil : .delivered)) }
        #expect(try await rig.state(dead) == .dead)
        #expect(try await rig.findings() == [])
        await rig.stop()
    }

    @Test func `a write that is too old dies while the upstream is away, held or not`() async throws {
        let transport = ScriptedTransport { attempt, _ in
            attempt.contact == Sample.contact(99) ? Sample.outcome(403) : Sample.unreachable
        }
        let rig = try OutboxRig(directory, transport, backoffMilliseconds: 60_000) {
            $0.maxAgeMilliseconds = 2_000
            $0.holdProbeMilliseconds = 600_000
        }
        let held = try await rig.accept(500, 99)
        try await rig.waitFor(held, .held)
        transport.admits { .wait(milliseconds: 60_000) }
        for token in 1...40 as ClosedRange<UInt64> { try await rig.accept(token, Int(token % 11)) }
        let counts = try await rig.counts("all to be dead") { $0.dead == 41 }
        #expect(counts.pending == 0 && counts.held == 0 && counts.isBalanced)
        let receipt = try #require(try await rig.outbox.show(held)?.entry.receipt)
        #expect(receipt.lastError?.hasPrefix("expired") == true)
        #expect(try await rig.findings() == [])
        await rig.stop()
    }

    @Test func `bodies of ended writes leave the log when nothing is committed any more`() async throws {
        let rig = try rig { _ in }
        let id = try await rig.accept(1, 1, body: #"{"data":{"date":"planted-body"}}"#)
        try await rig.waitFor(id, .delivered)
        try await eventually("the log to be empty") { try directory.files(containing: "planted-body") == [] }
        await rig.stop()
    }

    // MARK: - Held writes

    @Test func `thousands of held writes starve nobody and cost no memory`() async throws {
        replies.key("junk", Sample.outcome(401))
        let rig = try OutboxRig(directory, replies.transport) {
            $0.maxPendingUnverifiedPerKey = 10_000
            $0.holdProbeMilliseconds = 600_000
        }
        var junk: [NewWrite] = []
        for token in 1...2_000 as ClosedRange<UInt64> { junk.append(rig.write(token, Int(token), key: "junk")) }
        for write in junk { #expect(rig.outbox.submit(write) == nil) }
        try await rig.sink.waitForAnswers(2_000)
        try await rig.counts("all to be held") { $0.held == 2_000 }
        for token in 5_001...5_200 as ClosedRange<UInt64> {
            rig.submit(token, Int(token - 5_000), key: "good", wait: 0)
        }
        try await rig.counts("the good ones to be delivered") { $0.delivered == 200 }
        #expect(try await rig.findings() == [])
        await rig.stop()
    }
}
