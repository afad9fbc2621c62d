import DexatelAPI
import Testing

@testable import Outbox

/// Which write stands for which (design §3.4).
@Suite struct LaneScheduleSupersedeTests {
    /// Accepts writes to one contact while it is not free, and says which one goes when it is.
    private func claimed(
        _ writes: [(method: WriteMethod, fields: [String]?)],
        semantics: PutSemantics = .unknown,
        supersedes: Bool = true
    ) -> (sequence: Int64?, covered: [Int64]) {
        let lanes = LaneHarness {
            $0.putSemantics = semantics
            $0.supersedes = supersedes
        }
        for write in writes { lanes.accept(1, method: write.method, fields: write.fields) }
        let sequence = lanes.claimSequence()
        guard case .end(let end) = lanes.finish(1, Sample.outcome(200)) else { return (sequence, []) }
        return (sequence, end.covered.map(\.sequence))
    }

    @Test func `a write that sets all that the ones before it set stands for them`() {
        #expect(claimed([(.put, ["date"]), (.put, ["date", "first_name"])]) == (2, [1]))
        #expect(claimed([(.put, ["date"]), (.put, ["tags", "date"]), (.put, ["date", "tags"])]) == (3, [1, 2]))
        #expect(claimed([(.put, []), (.put, ["date"])]) == (2, [1]))
        #expect(
            claimed([(.put, ["date", "tags"]), (.put, ["date"]), (.put, ["date", "tags"])]) == (3, [1, 2]),
            "a run"
        )
    }

    @Test func `a write that leaves a field out stands for nothing, as nobody knows what that does`() {
        #expect(claimed([(.put, ["date", "first_name"]), (.put, ["date"])]) == (1, []))
        #expect(claimed([(.put, ["date"]), (.put, ["tags"])]) == (1, []))
        #expect(claimed([(.put, nil), (.put, ["date"])]) == (1, []))
        #expect(claimed([(.put, ["date"]), (.put, nil)]) == (1, []))
        #expect(claimed([(.put, ["date", "first_name"]), (.put, ["date"])], semantics: .merge) == (1, []))
    }

    @Test func `where the upstream replaces, any later PUT stands for earlier ones`() {
        #expect(claimed([(.put, ["date", "first_name"]), (.put, ["date"])], semantics: .replace) == (2, [1]))
        #expect(claimed([(.put, ["date"]), (.put, nil)], semantics: .replace) == (1, []), "what it does is not known")
    }

    @Test func `a DELETE stands for every PUT, and nothing for a DELETE`() {
        #expect(claimed([(.put, nil), (.put, ["date"]), (.delete, nil)]) == (3, [1, 2]))
        #expect(claimed([(.delete, nil), (.put, ["date"])], semantics: .replace) == (1, []))
        #expect(claimed([(.delete, nil), (.delete, nil)]) == (1, []))
        #expect(claimed([(.put, ["date"]), (.delete, nil), (.put, ["date"])]) == (2, [1]))
    }

    @Test func `nothing is superseded where the operator does not want it`() {
        #expect(claimed([(.put, ["date"]), (.put, ["date"])], supersedes: false) == (1, []))
    }

    @Test func `only writes of the same key stand for each other`() {
        let lanes = LaneHarness()
        lanes.accept(1, key: 1, fields: ["date"])
        lanes.accept(1, key: 2, fields: ["date"])
        #expect(lanes.claimSequence() == 1)
    }

    @Test func `a write whose sender waits is sent itself`() {
        let lanes = LaneHarness()
        let waiting = lanes.accept(1, wait: 2_000, fields: ["date"])
        lanes.accept(1, fields: ["date"])
        #expect(lanes.claimSequence() == waiting)
    }

    @Test func `a write that stands for others may have a sender who waits`() {
        let lanes = LaneHarness()
        lanes.accept(1, fields: ["date"])
        let waiting = lanes.accept(1, wait: 2_000, fields: ["date"])
        #expect(lanes.claimSequence() == waiting)
        lanes.finish(1, Sample.outcome(200))
        #expect(lanes.told(waiting) == [200])
        #expect(lanes.schedule.windowCount == 0)
    }

    @Test func `a write under way, and one that may have taken effect, is sent itself`() {
        let lanes = LaneHarness()
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

    @Test func `a write that failed for certain is covered by what came meanwhile, whose backoff goes on from there`() {
        let lanes = LaneHarness()
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
        _ = lanes.schedule.attemptEnded(
            Sample.contact(1),
            Sample.outcome(500),
            now: lanes.now,
            backoffMilliseconds: { attempts in
                asked = attempts
                return 10
            }
        )
        #expect(asked == 3)
    }

    @Test(arguments: [422, 403, 401])
    func `when the later write is refused, the covered ones are delivered instead`(_ status: Int) {
        let lanes = LaneHarness()
        lanes.accept(1, key: 1, fields: ["date"])
        lanes.accept(1, key: 1, fields: ["date"])
        lanes.accept(1, key: 1, fields: ["date", "tags"])
        #expect(lanes.claimSequence() == 3)
        lanes.finish(1, Sample.outcome(status))
        if status == 401 {
            #expect(lanes.leaving() == [1: .key, 2: .key])
            return
        }
        #expect(lanes.claimSequence() == 2)
        guard case .end(let end) = lanes.finish(1, Sample.outcome(200)) else {
            Issue.record("it is delivered")
            return
        }
        #expect(end.covered.map(\.sequence) == [1])
        #expect(lanes.schedule.windowCount == 0)
    }

    /// A decision (docs/outbox.md): what was acknowledged and not refused is what the upstream is to have in the end, even
    /// if the refused write may have taken effect before.
    @Test func `a later write that may have taken effect and is then refused leaves the covered one to be delivered`() {
        let lanes = LaneHarness { $0.settleMilliseconds = 500 }
        let covered = lanes.accept(1, fields: ["date"])
        let covering = lanes.accept(1, fields: ["date"])
        #expect(lanes.claimSequence() == covering)
        lanes.finish(1, Sample.timeout, backoff: 10)
        lanes.now = lanes.now + 10
        #expect(lanes.claimSequence() == covering)
        guard case .end(let end) = lanes.finish(1, Sample.outcome(422)) else {
            Issue.record("it is refused")
            return
        }
        #expect(end.state == .dead && end.write.isAmbiguous && end.covered == [], "the receipt says what is not known")
        #expect(lanes.claimSequence() == nil, "late effects come first: writes.settle")
        lanes.now = lanes.now + 500
        #expect(lanes.claimSequence() == covered)
        #expect(lanes.finish(1, Sample.outcome(200))?.endState == .delivered)
    }

    @Test func `when the later write is discarded, the covered one is delivered`() {
        let lanes = LaneHarness()
        lanes.accept(1, fields: ["date"])
        lanes.accept(1, fields: ["date"])
        #expect(lanes.withdraw(2, 1))
        #expect(lanes.claimSequence() == 1)
    }

    @Test func `a covered write is not ended by an attempt that may be made again`() {
        let lanes = LaneHarness()
        lanes.accept(1, fields: ["date"])
        let later = lanes.accept(1, fields: ["date"])
        #expect(lanes.claimSequence() == later)
        #expect(lanes.finish(1, Sample.timeout, backoff: 10)?.attempt?.sequence == later)
        #expect(lanes.schedule.windowCount == 2)
        lanes.now = lanes.now + 10
        #expect(lanes.claimSequence() == later, "ambiguous itself, it still covers what is before it")
    }

    @Test func `a write that was brought back from the dead does not die of the age of the one that covers it`() {
        let lanes = LaneHarness { $0.maxAgeMilliseconds = 1_000 }
        let retried = lanes.write(1, 1, fields: ["date"], accepted: lanes.now)
        let covering = lanes.write(2, 1, fields: ["date"], accepted: lanes.now + -2_000)
        lanes.answer(lanes.schedule.accept([retried, covering], isUpstreamHealthy: true, now: lanes.now))
        guard case .expired(let end) = lanes.claim() else {
            Issue.record("the covering one is too old")
            return
        }
        #expect(end.sequence == 2)
        lanes.recorded(.end(end))
        #expect(lanes.claimSequence() == 1)
    }

    @Test func `a run has a bound`() {
        let lanes = LaneHarness { $0.maxCovered = 3 }
        for _ in 1...6 { lanes.accept(1, fields: ["date"]) }
        #expect(lanes.claimSequence() == 4)
        lanes.finish(1, Sample.outcome(200))
        lanes.read()
        #expect(lanes.claimSequence() == 6)
    }
}

private func == (
    left: (sequence: Int64?, covered: [Int64]),
    right: (Int64, [Int64])
) -> Bool {
    left.sequence == right.0 && left.covered == right.1
}
