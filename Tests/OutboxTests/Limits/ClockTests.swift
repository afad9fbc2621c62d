import DexatelAPI
import TestSupport
import Testing

@testable import Outbox

/// A wall clock that is set by a day changes neither ages nor expiry nor retention, running or over a restart (design
/// §3.3).
@Suite struct ClockTests {
    private static let minute: Int64 = 60_000
    private static let hour = 60 * minute
    private static let day = 24 * hour

    private let directory: TemporaryDirectory
    private let replies = Replies()
    private let time = MovedTime()

    init() throws {
        directory = try TemporaryDirectory()
        replies.contact(2, Sample.unreachable)
        replies.contact(3, Sample.outcome(403))
    }

    private func rig() throws -> OutboxRig {
        try OutboxRig(directory, replies.transport, backoffMilliseconds: 100 * Self.day, time: time.source) {
            $0.maxAgeMilliseconds = 2 * Self.hour
            $0.keepReceiptsMilliseconds = 2 * Self.hour
            $0.holdProbeMilliseconds = 100 * Self.day
        }
    }

    /// A receipt, a write that waits for its next try, and a held one.
    private func fill(_ rig: OutboxRig) async throws -> (receipt: WriteID, pending: WriteID) {
        let receipt = try await rig.accept(1, 1)
        let pending = try await rig.accept(2, 2)
        try await rig.accept(3, 3)
        try await rig.counts("a receipt and a held write") { $0.delivered == 1 && $0.held == 1 }
        try await eventually("a try") { replies.attempts.count == 3 }
        return (receipt, pending)
    }

    /// Waits until commit thread and engine have looked after everything that is due now.
    private func settle(_ rig: OutboxRig) async throws {
        let turns = rig.outbox.turns
        try await eventually("turns") {
            rig.outbox.nudge()
            let now = rig.outbox.turns
            return now.commits >= turns.commits + 2 && now.deliveries >= turns.deliveries + 3
        }
    }

    private func age(_ rig: OutboxRig) async -> Int64? { await rig.outbox.status().oldestPendingAgeMilliseconds }

    /// Everything is still there, and goes when the relay's clock says so, whatever the wall clock says.
    private func expectRetention(_ rig: OutboxRig, of ids: (receipt: WriteID, pending: WriteID), left: Int64)
        async throws
    {
        try await settle(rig)
        #expect(rig.outbox.committedCounts.pending == 2 && rig.outbox.committedCounts.dead == 0)
        #expect(try await rig.state(ids.receipt) == .delivered)
        time.advance(milliseconds: left - 1)
        try await settle(rig)
        #expect(rig.outbox.committedCounts.pending == 2 && rig.outbox.committedCounts.receipts == 1)
        time.advance(milliseconds: 2 * Self.minute)
        try await eventually("both to die of age, and the receipt to go") {
            rig.outbox.nudge()
            return rig.outbox.committedCounts.dead == 2 && rig.outbox.committedCounts.receipts == 0
        }
        #expect(try await rig.outbox.show(ids.pending)?.entry.receipt.lastError?.hasPrefix("expired") == true)
        #expect(try await rig.state(ids.receipt) == nil)
        #expect(try await rig.findings() == [])
    }

    /// Set back, the relay's clock stands still over the restart; set forward, it goes on by an hour.
    @Test(arguments: [(-day, 0), (day, hour)] as [(Int64, Int64)])
    func `the wall clock is set by a day over a restart`(_ change: Int64, _ advances: Int64) async throws {
        let first = try rig()
        let ids = try await fill(first)
        time.advance(milliseconds: 30 * Self.minute)
        #expect(await age(first) == 30 * Self.minute)
        await first.stop()
        time.setWall(by: change)
        let rig = try rig()
        #expect(await age(rig) == 30 * Self.minute + advances)
        try await expectRetention(rig, of: ids, left: 90 * Self.minute - advances)
        await rig.stop()
    }

    @Test func `the wall clock is set by a day while the relay runs`() async throws {
        let rig = try rig()
        let ids = try await fill(rig)
        time.advance(milliseconds: 30 * Self.minute)
        for change in [-Self.day, 2 * Self.day, -Self.day] {
            time.setWall(by: change)
            #expect(await age(rig) == 30 * Self.minute)
        }
        try await expectRetention(rig, of: ids, left: 90 * Self.minute)
        await rig.stop()
    }

    @Test func `a restart goes on where the clock was saved, and counts an hour of the time in between at most`()
        async throws
    {
        let first = try rig()
        _ = try await fill(first)
        await first.stop()
        // Down for ten minutes, and then for a month.
        for (down, age) in [(10 * Self.minute, 10 * Self.minute), (30 * Self.day, 70 * Self.minute)] {
            time.advance(milliseconds: down)
            let rig = try rig()
            #expect(await self.age(rig) == age)
            await rig.stop()
        }
    }

    @Test func `order is that of acceptance though the wall clock goes back in between`() async throws {
        let rig = try rig()
        for token in 1...5 as ClosedRange<UInt64> {
            try await rig.accept(token, 2, body: #"{"data":{"date":"\#(token)"}}"#)
            time.setWall(by: -Self.day)
        }
        let writes = try await rig.outbox.list(WriteSelection(), limit: 10).writes
        #expect(writes.map(\.receipt.id.sequence) == [1, 2, 3, 4, 5])
        let accepted = writes.map(\.receipt.acceptedAtMilliseconds)
        #expect(accepted == accepted.sorted(by: >), "people read the wall clock")
        await rig.stop()
    }
}
