import DexatelAPI
import Testing

@testable import Outbox

/// Which write stands for which (design §3.4).
@Suite struct LaneSupersedeTests {
    /// Accepts writes to one contact while it is not free, and says which one goes when it is.
    private func claimed(
        _ writes: [(method: WriteMethod, fields: [String]?)],
        semantics: PutSemantics = .unknown,
        supersedes: Bool = true
    ) throws -> (sequence: Int64?, covered: [Int64]) {
        let lanes = try LaneHarness {
            $0.putSemantics = semantics
            $0.supersedes = supersedes
        }
        for write in writes { lanes.accept(1, method: write.method, fields: write.fields) }
        let sequence = lanes.claimSequence()
        let fate = lanes.finish(1, Sample.outcome(200))
        #expect(lanes.findings() == [])
        return (sequence, fate?.covered ?? [])
    }

    @Test func `a write that sets all that the ones before it set stands for them`() throws {
        #expect(try claimed([(.put, ["date"]), (.put, ["date", "first_name"])]) == (2, [1]))
        #expect(try claimed([(.put, ["date"]), (.put, ["tags", "date"]), (.put, ["date", "tags"])]) == (3, [1, 2]))
        #expect(try claimed([(.put, []), (.put, ["date"])]) == (2, [1]))
        #expect(
            try claimed([(.put, ["date", "tags"]), (.put, ["date"]), (.put, ["date", "tags"])]) == (3, [1, 2]),
            "a run"
        )
    }

    @Test func `a write that leaves a field out stands for nothing, as nobody knows what that does`() throws {
        #expect(try claimed([(.put, ["date", "first_name"]), (.put, ["date"])]) == (1, []))
        #expect(try claimed([(.put, ["date"]), (.put, ["tags"])]) == (1, []))
        #expect(try claimed([(.put, nil), (.put, ["date"])]) == (1, []))
        #expect(try claimed([(.put, ["date"]), (.put, nil)]) == (1, []))
        #expect(try claimed([(.put, ["date", "first_name"]), (.put, ["date"])], semantics: .merge) == (1, []))
    }

    @Test func `where the upstream replaces, any later PUT stands for earlier ones`() throws {
        #expect(try claimed([(.put, ["date", "first_name"]), (.put, ["date"])], semantics: .replace) == (2, [1]))
        #expect(
            try claimed([(.put, ["date"]), (.put, nil)], semantics: .replace) == (1, []),
            "what it does is not known"
        )
    }

    @Test func `a DELETE stands for every PUT, and nothing for a DELETE`() throws {
        #expect(try claimed([(.put, nil), (.put, ["date"]), (.delete, nil)]) == (3, [1, 2]))
        #expect(try claimed([(.delete, nil), (.put, ["date"])], semantics: .replace) == (1, []))
        #expect(try claimed([(.delete, nil), (.delete, nil)]) == (1, []))
        #expect(try claimed([(.put, ["date"]), (.delete, nil), (.put, ["date"])]) == (2, [1]))
    }

    @Test func `nothing is superseded where the operator does not want it`() throws {
        #expect(try claimed([(.put, ["date"]), (.put, ["date"])], supersedes: false) == (1, []))
    }

    @Test func `only writes of the same key stand for each other`() throws {
        let lanes = try LaneHarness()
        lanes.accept(1, key: 1, fields: ["date"])
        lanes.accept(1, key: 2, fields: ["date"])
        #expect(lanes.claimSequence() == 1)
    }

    @Test func `a write whose sender waits is sent itself`() throws {
        let lanes = try LaneHarness()
        let waiting = lanes.accept(1, wait: 2_000, fields: ["date"])
        lanes.accept(1, fields: ["date"])
        #expect(lanes.claimSequence() == waiting)
    }

    @Test func `a write that stands for others may have a sender who waits`() throws {
        let lanes = try LaneHarness()
        lanes.accept(1, fields: ["date"])
        let waiting = lanes.accept(1, wait: 2_000, fields: ["date"])
        #expect(lanes.claimSequence() == waiting)
        lanes.finish(1, Sample.outcome(200))
        #expect(lanes.told(waiting) == [200])
        #expect(lanes.findings() == [])
    }

    @Test func `a write under way, and one that may have taken effect, is sent itself`() throws {
        let lanes = try LaneHarness()
        let first = lanes.accept(1, fields: ["date"])
        #expect(lanes.claimSequence() == first)
        lanes.accept(1, fields: ["date"])
        lanes.finish(1, Sample.timeout, backoff: 10)
        lanes.now = lanes.now + 10
        #expect(lanes.claimSequence() == first)
        lanes.finish(1, Sample.outcome(500), backoff: 10)
        lanes.now = lanes.now + 10
        #expect(lanes.claimSequence() == first, "ambiguous is for good")
    }

    @Test func `a write that failed for certain is covered by what came meanwhile, whose backoff goes on from there`()
        throws
    {
        let lanes = try LaneHarness()
        lanes.accept(1, fields: ["date"])
        for attempt in 1...3 {
            _ = lanes.claim()
            lanes.finish(1, Sample.outcome(500), backoff: 10)
            lanes.now = lanes.now + 10
            #expect(attempt > 0)
        }
        let later = lanes.accept(1, fields: ["date"])
        #expect(lanes.claimSequence() == later)
        var asked: Int64 = 0
        lanes.upstream.setBackoff { $0 * 1_000 }
        asked = (lanes.finishAsIs(1, Sample.outcome(500))?.pending?.nextAttempt ?? lanes.now) - lanes.now
        #expect(asked == 3_000)
    }

    @Test(arguments: [422, 403, 401])
    func `when the later write is refused, the covered ones are delivered instead`(_ status: Int) throws {
        let lanes = try LaneHarness()
        lanes.accept(1, key: 1, fields: ["date"])
        lanes.accept(1, key: 1, fields: ["date"])
        lanes.accept(1, key: 1, fields: ["date", "tags"])
        #expect(lanes.claimSequence() == 3)
        lanes.finish(1, Sample.outcome(status))
        if status == 401 {
            #expect(lanes.counts.held == 3 && lanes.claim() == nil)
            return
        }
        #expect(lanes.claimSequence() == 2)
        #expect(lanes.finish(1, Sample.outcome(200)) == .init(state: .delivered, covered: [1]))
        #expect(lanes.findings() == [])
    }

    /// A decision (docs/outbox.md): what was acknowledged and not refused is what the upstream is to have in the end, even
    /// if the refused write may have taken effect before.
    @Test func `a later write that may have taken effect and is then refused leaves the covered one to be delivered`()
        throws
    {
        let lanes = try LaneHarness { $0.settleMilliseconds = 500 }
        let covered = lanes.accept(1, fields: ["date"])
        let covering = lanes.accept(1, fields: ["date"])
        #expect(lanes.claimSequence() == covering)
        lanes.finish(1, Sample.timeout, backoff: 10)
        lanes.now = lanes.now + 10
        #expect(lanes.claimSequence() == covering)
        #expect(lanes.finish(1, Sample.outcome(422)) == .init(state: .dead), "and covers nothing")
        #expect(lanes.claimSequence() == nil, "late effects come first: writes.settle")
        lanes.now = lanes.now + 500
        #expect(lanes.claimSequence() == covered)
        #expect(lanes.finish(1, Sample.outcome(200))?.state == .delivered)
    }

    @Test func `when the later write is discarded, the covered one is delivered`() throws {
        let lanes = try LaneHarness()
        lanes.accept(1, fields: ["date"])
        lanes.accept(1, fields: ["date"])
        #expect(lanes.discard(2))
        #expect(lanes.claimSequence() == 1)
    }

    @Test func `a covered write is not ended by an attempt that may be made again`() throws {
        let lanes = try LaneHarness()
        lanes.accept(1, fields: ["date"])
        let later = lanes.accept(1, fields: ["date"])
        #expect(lanes.claimSequence() == later)
        #expect(lanes.finish(1, Sample.timeout, backoff: 10)?.pending?.sequence == later)
        #expect(lanes.counts.pending == 2)
        lanes.now = lanes.now + 10
        #expect(lanes.claimSequence() == later, "ambiguous itself, it still covers what is before it")
    }

    @Test func `a run has a bound`() throws {
        let lanes = try LaneHarness { $0.maxCovered = 3 }
        for _ in 1...6 { lanes.accept(1, fields: ["date"]) }
        #expect(lanes.claimSequence() == 4)
        lanes.finish(1, Sample.outcome(200))
        #expect(lanes.claimSequence() == 6)
    }
}

private func == (
    left: (sequence: Int64?, covered: [Int64]),
    right: (Int64, [Int64])
) -> Bool {
    left.sequence == right.0 && left.covered == right.1
}
