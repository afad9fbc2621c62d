import Testing

@testable import Outbox

/// Who waits for the upstream's own reply, and until when (design §3.2).
@Suite struct LaneScheduleWaitTests {
    @Test func `the upstream's reply is shown only after it is durable`() throws {
        let lanes = LaneHarness()
        let write = lanes.accept(1, wait: 2_000)
        #expect(lanes.told(write) == [])
        #expect(lanes.claimSequence() == write)
        let ended = try #require(lanes.end(1, Sample.outcome(200)))
        #expect(ended.record.endState == .delivered)
        lanes.now = lanes.now + 10_000
        lanes.expireWaits()
        #expect(lanes.told(write) == [], "a reply that is being made durable is waited for")
        lanes.recorded(ended.record)
        #expect(lanes.told(write) == [200])
        #expect(lanes.schedule.waitingCount == 0)
    }

    @Test(arguments: [400, 401, 403, 405, 409, 422, 501])
    func `a refusal before a 202 is shown as it came, and the write is rejected`(_ status: Int) {
        let lanes = LaneHarness()
        let write = lanes.accept(1, wait: 2_000)
        _ = lanes.claim()
        #expect(lanes.finish(1, Sample.outcome(status))?.endState == .rejected)
        #expect(lanes.told(write) == [status])
    }

    @Test func `a 404 to a first DELETE whose sender waits is shown as it came`() {
        let lanes = LaneHarness()
        let write = lanes.accept(1, method: .delete, wait: 2_000)
        _ = lanes.claim()
        #expect(lanes.finish(1, Sample.outcome(404, Sample.contactNotFound))?.endState == .rejected)
        #expect(lanes.told(write) == [404])
    }

    @Test(arguments: [404, 410])
    func `a 404 to an acknowledged DELETE is delivered`(_ status: Int) {
        let lanes = LaneHarness()
        lanes.accept(1, method: .delete)
        _ = lanes.claim()
        #expect(lanes.finish(1, Sample.outcome(status, Sample.contactNotFound))?.endState == .delivered)
    }

    @Test func `a refusal after a 202 leaves a dead write`() {
        let lanes = LaneHarness()
        let write = lanes.accept(1, wait: 2_000)
        _ = lanes.claim()
        lanes.now = lanes.now + 2_000
        lanes.expireWaits()
        #expect(lanes.told(write) == [202])
        #expect(lanes.finish(1, Sample.outcome(400))?.endState == .dead)
        #expect(lanes.told(write) == [202])
    }

    @Test(arguments: [500, 503, 429, 302, 408])
    func `the wait ends at the first retryable outcome, for those behind in the lane, too`(_ status: Int) {
        let lanes = LaneHarness()
        let first = lanes.accept(1, wait: 2_000)
        let behind = lanes.accept(1, wait: 2_000)
        let elsewhere = lanes.accept(2, key: 2, wait: 2_000)
        _ = lanes.claim()
        let ended = lanes.end(1, Sample.outcome(status))
        #expect(ended?.record.attempt != nil)
        #expect(lanes.told(first) == [202], "not even the commit of the attempt is waited for")
        #expect(lanes.told(behind) == [202])
        #expect(lanes.told(elsewhere) == [])
        #expect(lanes.schedule.waitingCount == 1)
    }

    @Test func `no wait begins while the lane's head backs off, not even before that is durable`() throws {
        let lanes = LaneHarness()
        lanes.accept(1)
        _ = lanes.claim()
        let ended = try #require(lanes.end(1, Sample.unreachable, backoff: 500))
        let early = lanes.accept(1, wait: 2_000)
        #expect(lanes.told(early) == [202])
        lanes.recorded(ended.record)
        let late = lanes.accept(1, wait: 2_000)
        #expect(lanes.told(late) == [202])
        lanes.now = lanes.now + 500
        let afterwards = lanes.accept(1, wait: 2_000)
        #expect(lanes.told(afterwards) == [])
    }

    @Test func `no wait begins with a paused key, an unhealthy upstream, a full house or no time`() {
        let lanes = LaneHarness { $0.maxWaiting = 1 }
        lanes.accept(1, key: 1)
        _ = lanes.claim()
        lanes.finish(1, Sample.outcome(429, retryAfter: 5_000))
        #expect(lanes.told(lanes.accept(2, key: 1, wait: 2_000)) == [202])
        #expect(lanes.told(lanes.accept(3, key: 2, wait: 2_000, healthy: false)) == [202])
        #expect(lanes.told(lanes.accept(4, key: 2, wait: 0)) == [202])
        #expect(lanes.told(lanes.accept(5, key: 2, wait: 2_000)) == [])
        #expect(lanes.told(lanes.accept(6, key: 2, wait: 2_000)) == [202])
    }

    @Test func `when the upstream is lost, nobody waits any longer but those whose writes are under way`() {
        let lanes = LaneHarness { $0.maxInFlight = 2 }
        let writes = (1...20).map { lanes.accept($0, wait: 2_000) }
        let behind = lanes.accept(1, wait: 2_000)
        #expect(lanes.claimSequence() == 1 && lanes.claimSequence() == 2)
        lanes.answer(lanes.schedule.upstreamLost())
        for write in writes.dropFirst(2) + [behind] { #expect(lanes.told(write) == [202]) }
        #expect(lanes.told(1) == [] && lanes.told(2) == [])
        lanes.finish(1, Sample.outcome(400))
        lanes.finish(2, Sample.unreachable)
        #expect(lanes.told(1) == [400] && lanes.told(2) == [202] && lanes.schedule.waitingCount == 0)
    }

    @Test func `when a key is paused, nobody waits any longer for a write with it, or behind one`() {
        let lanes = LaneHarness { $0.maxInFlight = 1 }
        let paused = (1...5).map { lanes.accept($0, key: 1, wait: 2_000) }
        let behind = lanes.accept(5, key: 2, wait: 2_000)
        let other = lanes.accept(6, key: 2, wait: 2_000)
        #expect(lanes.claimSequence() == 1)
        lanes.finish(1, Sample.outcome(429, retryAfter: 60_000))
        for write in paused + [behind] { #expect(lanes.told(write) == [202]) }
        #expect(lanes.told(other) == [])
        #expect(lanes.claimSequence() == other)
    }

    @Test func `when the pause of the whole upstream is confirmed, nobody waits any longer`() {
        let lanes = LaneHarness { $0.maxInFlight = 2 }
        let writes = (1...5).map { lanes.accept($0, key: $0, wait: 2_000) }
        _ = (lanes.claim(), lanes.claim())
        lanes.finish(1, Sample.outcome(503, retryAfter: 60_000))
        #expect(lanes.told(3) == [])
        lanes.finish(2, Sample.outcome(503, retryAfter: 60_000))
        for write in writes { #expect(lanes.told(write) == [202]) }
    }

    @Test func `a sender waits for the lane's queue ahead, too`() {
        let lanes = LaneHarness()
        let first = lanes.accept(1, wait: 2_000)
        let second = lanes.accept(1, wait: 2_000)
        #expect(lanes.claimSequence() == first)
        #expect(lanes.claim() == nil, "one at a time")
        lanes.finish(1, Sample.outcome(400))
        #expect(lanes.claimSequence() == second)
        lanes.finish(1, Sample.outcome(200))
        #expect(lanes.told(first) == [400])
        #expect(lanes.told(second) == [200])
    }

    @Test func `a wait ends at its own deadline, and an earlier alarm of a lane does not hide it`() {
        let lanes = LaneHarness { $0.maxInFlight = 1 }
        lanes.accept(1)
        _ = lanes.claim()
        lanes.finish(1, Sample.outcome(500), backoff: 100)
        let write = lanes.accept(2, wait: 2_000)
        _ = lanes.claim()
        #expect(lanes.schedule.nextAlarm(after: lanes.now) == lanes.now + 100)
        // All that may be under way is: the pause of contact 1 is over, but nothing can be done about it.
        let deadline = lanes.now + 2_000
        lanes.now = lanes.now + 100
        #expect(lanes.claim() == nil)
        #expect(lanes.schedule.nextAlarm(after: lanes.now) == deadline)
        lanes.now = deadline
        lanes.expireWaits()
        #expect(lanes.told(write) == [202])
    }

    @Test func `a sender whose write grows too old is told 202, once`() {
        let lanes = LaneHarness { $0.maxAgeMilliseconds = 10 }
        let write = lanes.accept(1, wait: 2_000)
        lanes.now = lanes.now + 11
        guard case .expired(let end) = lanes.claim() else {
            Issue.record("the write is too old to be sent")
            return
        }
        #expect(end.state == .dead)
        lanes.recorded(.end(end))
        #expect(lanes.told(write) == [202])
        lanes.now = lanes.now + 2_000
        lanes.expireWaits()
        #expect(lanes.told(write) == [202])
    }

    @Test func `stopping answers everybody but those whose reply is just being made durable`() throws {
        let lanes = LaneHarness()
        let replied = lanes.accept(1, wait: 2_000)
        let behind = lanes.accept(1, wait: 2_000)
        let other = lanes.accept(2, wait: 2_000)
        _ = lanes.claim()
        let ended = try #require(lanes.end(1, Sample.outcome(400)))
        lanes.answer(lanes.schedule.releaseWaiters())
        #expect(lanes.told(replied) == [])
        #expect(lanes.told(behind) == [202])
        #expect(lanes.told(other) == [202])
        lanes.recorded(ended.record)
        #expect(lanes.told(replied) == [400])
    }

    @Test func `after a failed commit a refusal that may or may not be durable is not followed by a 202`() {
        let lanes = LaneHarness()
        let refused = lanes.accept(1, wait: 2_000)
        let delivered = lanes.accept(2, wait: 2_000)
        let waiting = lanes.accept(3, wait: 2_000)
        _ = (lanes.claim(), lanes.claim())
        _ = (lanes.end(1, Sample.outcome(400)), lanes.end(2, Sample.outcome(200)))
        lanes.answer(lanes.schedule.suspend())
        #expect(lanes.told(refused) == [503])
        #expect(lanes.told(delivered) == [202])
        #expect(lanes.told(waiting) == [202])
        #expect(lanes.schedule.waitingCount == 0)
        #expect(lanes.claim() == nil)
    }
}
