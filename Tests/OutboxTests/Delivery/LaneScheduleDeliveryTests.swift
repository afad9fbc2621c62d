import Testing

@testable import Outbox

/// What is sent again when, and what is held (design §3.3).
@Suite struct LaneScheduleDeliveryTests {
    @Test func `a lane goes on only when the outcome of its head is durable`() throws {
        let lanes = LaneHarness()
        lanes.accept(1)
        let second = lanes.accept(1)
        _ = lanes.claim()
        #expect(lanes.claim() == nil)
        let ended = try #require(lanes.end(1, Sample.outcome(200)))
        #expect(lanes.claim() == nil)
        lanes.recorded(ended.record)
        #expect(lanes.claimSequence() == second)
    }

    @Test func `after a dead write the lane goes on`() {
        let lanes = LaneHarness()
        lanes.accept(1)
        let second = lanes.accept(1)
        _ = lanes.claim()
        #expect(lanes.finish(1, Sample.outcome(422))?.endState == .dead)
        #expect(lanes.claimSequence() == second)
    }

    @Test func `a lane that backs off stops no other`() {
        let lanes = LaneHarness()
        let poisoned = lanes.accept(1)
        lanes.accept(1)
        #expect(lanes.claimSequence() == poisoned)
        lanes.finish(1, Sample.outcome(500), backoff: 60_000)
        for contact in 2...100 {
            let write = lanes.accept(contact)
            #expect(lanes.claimSequence() == write)
            lanes.finish(contact, Sample.outcome(200))
        }
        #expect(lanes.claim() == nil)
        lanes.now = lanes.now + 60_000
        #expect(lanes.claimSequence() == poisoned)
    }

    @Test func `fresh writes and backlog alternate`() {
        let lanes = LaneHarness()
        for contact in 1...4 {
            lanes.accept(contact)
            _ = lanes.claim()
            lanes.finish(contact, Sample.outcome(500), backoff: 100)
        }
        lanes.now = lanes.now + 100
        for contact in 5...8 { lanes.accept(contact) }
        var isBacklog: [Bool] = []
        for _ in 1...8 {
            guard case .attempt(let write) = lanes.claim() else { break }
            isBacklog.append(write.pending.attempts > 0)
        }
        #expect(isBacklog.count == 8)
        #expect(zip(isBacklog, isBacklog.dropFirst()).allSatisfy { $0 != $1 }, "\(isBacklog)")
    }

    @Test func `no more than the limit is under way`() {
        let lanes = LaneHarness { $0.maxInFlight = 3 }
        for contact in 1...5 { lanes.accept(contact) }
        #expect([lanes.claim(), lanes.claim(), lanes.claim()].allSatisfy { $0 != nil })
        #expect(lanes.claim() == nil)
        lanes.finish(1, Sample.outcome(200))
        #expect(lanes.claim() != nil)
        #expect(lanes.claim() == nil)
    }

    // MARK: - Retry-After

    @Test(
        arguments: [
            (retryAfter: nil, backoff: 700, delay: 700), (retryAfter: 5_000, backoff: 700, delay: 5_000),
            (retryAfter: 100, backoff: 700, delay: 700), (retryAfter: 3_600_000, backoff: 1, delay: 3_600_000),
            (retryAfter: 86_400_000, backoff: 1, delay: 3_600_000), (retryAfter: -5, backoff: 0, delay: 0),
        ] as [(retryAfter: Int64?, backoff: Int64, delay: Int64)]
    )
    func `Retry-After is obeyed up to its bound, and never shortens the backoff`(
        _ retryAfter: Int64?,
        _ backoff: Int64,
        _ delay: Int64
    ) {
        for status in [429, 503, 500] {
            let lanes = LaneHarness()
            let write = lanes.accept(1)
            _ = lanes.claim()
            let record = lanes.finish(1, Sample.outcome(status, retryAfter: retryAfter), backoff: backoff)
            #expect(record?.attempt?.nextAttempt == lanes.now + delay)
            if delay > 0 {
                lanes.now = lanes.now + (delay - 1)
                #expect(lanes.claim() == nil)
                lanes.now = lanes.now + 1
            }
            #expect(lanes.claimSequence() == write)
        }
    }

    @Test func `a 429 pauses its key and no other`() {
        let lanes = LaneHarness()
        lanes.accept(1, key: 1)
        _ = lanes.claim()
        lanes.finish(1, Sample.outcome(429, retryAfter: 5_000))
        lanes.accept(2, key: 1)
        let other = lanes.accept(3, key: 2)
        #expect(lanes.claimSequence() == other)
        #expect(lanes.claim() == nil)
        lanes.now = lanes.now + 5_000
        #expect(lanes.claim() != nil)
        #expect(lanes.claim() != nil)
    }

    @Test func `neither a late success nor a shorter 429 lifts the pause of a 429`() {
        let lanes = LaneHarness()
        for contact in 1...3 { lanes.accept(contact) }
        _ = (lanes.claim(), lanes.claim(), lanes.claim())
        lanes.finish(1, Sample.outcome(429, retryAfter: 5_000))
        lanes.finish(2, Sample.outcome(200))
        lanes.finish(3, Sample.outcome(429), backoff: 10)
        lanes.accept(4)
        lanes.now = lanes.now + 4_999
        #expect(lanes.claim() == nil)
        lanes.now = lanes.now + 1
        #expect(lanes.claim() != nil)
    }

    // MARK: - Holds

    @Test func `a 401 to an acknowledged write holds the key: one probe in each hold_probe`() {
        let lanes = LaneHarness()
        for contact in 1...6 { lanes.accept(contact, key: 1) }
        #expect(lanes.claimSequence() == 1)
        let record = lanes.finish(1, Sample.outcome(401))
        #expect(record?.attempt?.isHeld == true)
        #expect(record?.attempt?.refusedKey == 1)
        #expect(lanes.claim() == nil)
        let other = lanes.accept(7, key: 2)
        #expect(lanes.claimSequence() == other)
        for _ in 1...10 {
            lanes.now = lanes.now + (lanes.schedule.limits.holdProbeMilliseconds - 1)
            #expect(lanes.claim() == nil)
            lanes.now = lanes.now + 1
            guard case .attempt(let probe) = lanes.claim() else {
                Issue.record("a probe is due")
                return
            }
            #expect(lanes.claim() == nil, "one probe alone")
            lanes.finish(Int(probe.pending.id.sequence), Sample.outcome(401))
        }
        lanes.now = lanes.now + lanes.schedule.limits.holdProbeMilliseconds
        guard case .attempt(let probe) = lanes.claim() else {
            Issue.record("a probe is due")
            return
        }
        let done = lanes.finish(Int(probe.pending.id.sequence), Sample.outcome(200))
        #expect(done?.endState == .delivered)
        var released = 0
        while lanes.claim() != nil { released += 1 }
        #expect(released == 5, "a success lets the key's writes go on at once")
    }

    @Test func `a probe that is answered 429 is not followed by another before its time`() {
        let lanes = LaneHarness()
        for contact in 1...3 { lanes.accept(contact) }
        _ = lanes.claim()
        lanes.finish(1, Sample.outcome(401))
        lanes.now = lanes.now + lanes.schedule.limits.holdProbeMilliseconds
        guard case .attempt(let probe) = lanes.claim() else {
            Issue.record("a probe is due")
            return
        }
        lanes.finish(Int(probe.pending.id.sequence), Sample.outcome(429), backoff: 10)
        lanes.now = lanes.now + (lanes.schedule.limits.holdProbeMilliseconds - 1)
        #expect(lanes.claim() == nil)
    }

    @Test func `a held key of a database that was opened is probed, and released as a whole`() {
        let lanes = LaneHarness()
        lanes.schedule.rebase(newest: 3)
        lanes.schedule.restart(heldKeys: [1])
        let heldUntil = lanes.now + 60_000
        let rows = [
            lanes.write(1, 1, attempts: 1, nextAttempt: heldUntil, isHeld: true),
            lanes.write(2, 2, attempts: 1, nextAttempt: heldUntil, isHeld: true), lanes.write(3, 3),
        ]
        guard let request = lanes.schedule.refillRequest else {
            Issue.record("the window is behind")
            return
        }
        lanes.schedule.refill(rows, for: request)
        #expect(lanes.claimSequence() == 3)
        #expect(lanes.claim() == nil)
        lanes.finish(3, Sample.outcome(200))
        #expect(Set([lanes.claimSequence(), lanes.claimSequence()]) == [1, 2])
    }

    @Test func `a 401 whose sender waits is rejected and does not hold what was acknowledged`() {
        let lanes = LaneHarness()
        lanes.accept(1, wait: 2_000)
        let next = lanes.accept(2)
        _ = lanes.claim()
        guard case .end(let end) = lanes.finish(1, Sample.outcome(401)) else {
            Issue.record("it is rejected")
            return
        }
        #expect(end.state == .rejected)
        #expect(end.keyVerdict == .refused)
        #expect(lanes.claimSequence() == next)
    }

    @Test func `a 403 holds that write alone`() {
        let lanes = LaneHarness()
        let held = lanes.accept(1)
        let other = lanes.accept(2)
        _ = lanes.claim()
        let record = lanes.finish(1, Sample.outcome(403))
        #expect(record?.attempt?.isHeld == true)
        #expect(record?.attempt?.refusedKey == nil)
        #expect(lanes.claimSequence() == other)
        lanes.now = lanes.now + lanes.schedule.limits.holdProbeMilliseconds
        #expect(lanes.claimSequence() == held)
        let released = lanes.finish(1, Sample.outcome(500))
        #expect(released?.attempt?.wasHeld == true)
        #expect(released?.attempt?.isHeld == false)
    }

    // MARK: - Not found, age, settling, recovery

    @Test func `a foreign 404 becomes final after not_found_grace`() {
        let lanes = LaneHarness { $0.notFoundGraceMilliseconds = 1_000 }
        lanes.accept(1)
        _ = lanes.claim()
        #expect(lanes.finish(1, Sample.outcome(404, ""), backoff: 999)?.attempt != nil)
        lanes.now = lanes.now + 999
        _ = lanes.claim()
        #expect(lanes.finish(1, Sample.outcome(404, ""), backoff: 1)?.attempt != nil)
        lanes.now = lanes.now + 1
        _ = lanes.claim()
        #expect(lanes.finish(1, Sample.outcome(404, ""))?.endState == .dead)
    }

    @Test func `a write older than max_age dies unsent`() {
        let lanes = LaneHarness { $0.maxAgeMilliseconds = 1_000 }
        lanes.accept(1)
        _ = lanes.claim()
        lanes.finish(1, Sample.outcome(500), backoff: 1_000)
        let next = lanes.accept(1)
        lanes.now = lanes.now + 1_000
        #expect(lanes.claimSequence() == 1, "not older than max_age yet")
        lanes.finish(1, Sample.outcome(500), backoff: 1)
        lanes.now = lanes.now + 1
        guard case .expired(let end) = lanes.claim() else {
            Issue.record("it is too old")
            return
        }
        #expect(end.sequence == 1 && end.state == .dead && end.attempts == 2)
        #expect(lanes.claim() == nil)
        lanes.recorded(.end(end))
        guard case .expired(let second) = lanes.claim() else {
            Issue.record("so is the next")
            return
        }
        #expect(second.sequence == next)
    }

    @Test(arguments: [true, false])
    func `settle delays the next write after an ambiguous one, also when the lane was empty`(_ isThere: Bool) {
        let lanes = LaneHarness { $0.settleMilliseconds = 300 }
        lanes.accept(1)
        _ = lanes.claim()
        lanes.finish(1, Sample.timeout, backoff: 1)
        lanes.now = lanes.now + 1
        if isThere { lanes.accept(1) }
        _ = lanes.claim()
        lanes.finish(1, Sample.outcome(200))
        if !isThere { lanes.accept(1) }
        #expect(lanes.claim() == nil)
        lanes.now = lanes.now + 299
        #expect(lanes.claim() == nil)
        lanes.now = lanes.now + 1
        #expect(lanes.claimSequence() == 2)
        #expect(lanes.schedule.settling.isEmpty)
    }

    @Test func `settle does not touch a lane without an ambiguous write`() {
        let lanes = LaneHarness { $0.settleMilliseconds = 300 }
        lanes.accept(1)
        _ = lanes.claim()
        lanes.finish(1, Sample.outcome(200))
        #expect(lanes.accept(1) == lanes.claimSequence())
    }

    @Test func `when the upstream is back, only what waited for that goes on at once`() {
        let lanes = LaneHarness()
        let outcomes = [
            Sample.unreachable, Sample.timeout, Sample.outcome(502), Sample.outcome(503), Sample.outcome(504),
            Sample.outcome(503, retryAfter: 9_000), Sample.outcome(500), Sample.outcome(302), Sample.outcome(403),
        ]
        for (index, outcome) in outcomes.enumerated() {
            lanes.accept(index, key: index)
            _ = lanes.claim()
            lanes.finish(index, outcome, backoff: 9_000)
        }
        lanes.schedule.upstreamRecovered()
        var awake: Set<Int64> = []
        while let sequence = lanes.claimSequence() { awake.insert(sequence) }
        #expect(awake == [1, 2, 3, 4, 5])
    }
}
