import Testing

@testable import Outbox

/// Who waits for the upstream's own reply, and until when (design §3.2).
@Suite struct LaneWaitTests {
    @Test func `the upstream's reply is shown only after it is durable`() throws {
        let lanes = try LaneHarness()
        let write = lanes.accept(1, wait: 2_000)
        #expect(lanes.told(write) == [])
        #expect(lanes.claimSequence() == write)
        lanes.end(1, Sample.outcome(200))
        lanes.now = lanes.now + 10_000
        lanes.expireWaits()
        #expect(lanes.told(write) == [], "a reply that is being made durable is waited for")
        lanes.step()
        #expect(lanes.told(write) == [200])
        #expect(lanes.waitingCount == 0)
    }

    @Test(arguments: [400, 401, 403, 405, 409, 422, 501])
    func `a refusal before a 202 is shown as it came, and the write is rejected`(_ status: Int) throws {
        let lanes = try LaneHarness()
        let write = lanes.accept(1, wait: 2_000)
        _ = lanes.claim()
        #expect(lanes.finish(1, Sample.outcome(status))?.state == .rejected)
        #expect(lanes.told(write) == [status])
    }

    @Test func `a 404 to a first DELETE whose sender waits is shown as it came`() throws {
        let lanes = try LaneHarness()
        let write = lanes.accept(1, method: .delete, wait: 2_000)
        _ = lanes.claim()
        #expect(lanes.finish(1, Sample.outcome(404, Sample.contactNotFound))?.state == .rejected)
        #expect(lanes.told(write) == [404])
    }

    @Test(arguments: [404, 410])
    func `a 404 to an acknowledged DELETE is delivered`(_ status: Int) throws {
        let lanes = try LaneHarness()
        lanes.accept(1, method: .delete)
        _ = lanes.claim()
        #expect(lanes.finish(1, Sample.outcome(status, Sample.contactNotFound))?.state == .delivered)
    }

    @Test func `a refusal after a 202 leaves a dead write`() throws {
        let lanes = try LaneHarness()
        let write = lanes.accept(1, wait: 2_000)
        _ = lanes.claim()
        lanes.now = lanes.now + 2_000
        lanes.expireWaits()
        #expect(lanes.told(write) == [202])
        #expect(lanes.finish(1, Sample.outcome(400))?.state == .dead)
        #expect(lanes.told(write) == [202])
    }

    @Test(arguments: [500, 503, 429, 302, 408])
    func `the wait ends at the first retryable outcome, for those behind in the lane, too`(_ status: Int) throws {
        let lanes = try LaneHarness()
        let first = lanes.accept(1, wait: 2_000)
        let behind = lanes.accept(1, wait: 2_000)
        let elsewhere = lanes.accept(2, key: 2, wait: 2_000)
        _ = lanes.claim()
        #expect(lanes.finish(1, Sample.outcome(status))?.pending != nil)
        #expect(lanes.told(first) == [202])
        #expect(lanes.told(behind) == [202])
        #expect(lanes.told(elsewhere) == [])
        #expect(lanes.waitingCount == 1)
    }

    @Test func `no wait begins while the lane's head backs off`() throws {
        let lanes = try LaneHarness()
        lanes.accept(1)
        _ = lanes.claim()
        lanes.finish(1, Sample.unreachable, backoff: 500)
        #expect(lanes.told(lanes.accept(1, wait: 2_000)) == [202])
        lanes.now = lanes.now + 500
        #expect(lanes.told(lanes.accept(1, wait: 2_000)) == [])
    }

    @Test func `no wait begins with a paused key, an unhealthy upstream, a full house or no time`() throws {
        let lanes = try LaneHarness { $0.maxWaiting = 1 }
        lanes.accept(1, key: 1)
        _ = lanes.claim()
        lanes.finish(1, Sample.outcome(429, retryAfter: 5_000))
        #expect(lanes.told(lanes.accept(2, key: 1, wait: 2_000)) == [202])
        #expect(lanes.told(lanes.accept(3, key: 2, wait: 2_000, healthy: false)) == [202])
        #expect(lanes.told(lanes.accept(4, key: 2, wait: 0)) == [202])
        #expect(lanes.told(lanes.accept(5, key: 2, wait: 2_000)) == [])
        #expect(lanes.told(lanes.accept(6, key: 2, wait: 2_000)) == [202])
    }

    @Test func `when the upstream is lost, nobody waits any longer but those whose writes are under way`() throws {
        let lanes = try LaneHarness { $0.maxInFlight = 2 }
        let writes = (1...20).map { lanes.accept($0, wait: 2_000) }
        let behind = lanes.accept(1, wait: 2_000)
        #expect(lanes.claimAll() == [1, 2])
        lanes.engine.upstreamLost()
        for write in writes.dropFirst(2) + [behind] { #expect(lanes.told(write) == [202]) }
        #expect(lanes.told(1) == [] && lanes.told(2) == [])
        lanes.finish(1, Sample.outcome(400))
        lanes.finish(2, Sample.unreachable)
        #expect(lanes.told(1) == [400] && lanes.told(2) == [202] && lanes.waitingCount == 0)
    }

    @Test func `when a key is paused, nobody waits any longer for a write with it, or behind one`() throws {
        let lanes = try LaneHarness { $0.maxInFlight = 1 }
        let paused = (1...5).map { lanes.accept($0, key: 1, wait: 2_000) }
        let behind = lanes.accept(5, key: 2, wait: 2_000)
        let other = lanes.accept(6, key: 2, wait: 2_000)
        #expect(lanes.claimSequence() == 1)
        lanes.finish(1, Sample.outcome(429, retryAfter: 60_000))
        for write in paused + [behind] { #expect(lanes.told(write) == [202]) }
        #expect(lanes.told(other) == [])
        #expect(lanes.claimSequence() == other)
    }

    @Test func `when the pause of the whole upstream is confirmed, nobody waits any longer`() throws {
        let lanes = try LaneHarness { $0.maxInFlight = 2 }
        let writes = (1...5).map { lanes.accept($0, key: $0, wait: 2_000) }
        _ = lanes.claimAll()
        lanes.finish(1, Sample.outcome(503, retryAfter: 60_000))
        #expect(lanes.told(3) == [])
        lanes.finish(2, Sample.outcome(503, retryAfter: 60_000))
        for write in writes { #expect(lanes.told(write) == [202]) }
    }

    @Test func `a sender waits for the lane's queue ahead, too`() throws {
        let lanes = try LaneHarness()
        let first = lanes.accept(1, wait: 2_000)
        let second = lanes.accept(1, wait: 2_000)
        #expect(lanes.claimAll() == [first], "one at a time")
        lanes.finish(1, Sample.outcome(400))
        #expect(lanes.claimSequence() == second)
        lanes.finish(1, Sample.outcome(200))
        #expect(lanes.told(first) == [400])
        #expect(lanes.told(second) == [200])
    }

    @Test func `stopping answers everybody but those whose reply is just being made durable`() throws {
        let lanes = try LaneHarness()
        let replied = lanes.accept(1, wait: 2_000)
        let behind = lanes.accept(1, wait: 2_000)
        let other = lanes.accept(2, wait: 2_000)
        _ = lanes.claim()
        lanes.end(1, Sample.outcome(400))
        lanes.engine.stop()
        #expect(lanes.told(replied) == [])
        #expect(lanes.told(behind) == [202])
        #expect(lanes.told(other) == [202])
        lanes.step()
        #expect(lanes.told(replied) == [400])
    }

    @Test func `after a failed commit a refusal that may or may not be durable is not followed by a 202`() throws {
        let lanes = try LaneHarness()
        let refused = lanes.accept(1, wait: 2_000)
        let delivered = lanes.accept(2, wait: 2_000)
        let waiting = lanes.accept(3, wait: 2_000)
        _ = (lanes.claim(), lanes.claim())
        lanes.end(1, Sample.outcome(400))
        lanes.end(2, Sample.outcome(200))
        lanes.faults.fail(next: 1, as: .lost)
        lanes.step()
        #expect(lanes.told(refused) == [503])
        #expect(lanes.told(delivered) == [202])
        #expect(lanes.told(waiting) == [202])
        #expect(lanes.waitingCount == 0)
        #expect(lanes.claim() == nil)
    }
}
