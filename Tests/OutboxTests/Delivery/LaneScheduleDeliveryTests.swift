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

    @Test func `a 429 pauses its key as long as it says, however often the write had been tried`() {
        let lanes = LaneHarness()
        let tried = lanes.write(1, 1, attempts: 12)
        lanes.answer(lanes.schedule.accept([tried], isUpstreamHealthy: true, now: lanes.now))
        lanes.answer(lanes.schedule.accept([lanes.write(2, 2)], isUpstreamHealthy: true, now: lanes.now))
        #expect(lanes.claimSequence() == 2)
        #expect(lanes.claimSequence() == 1)
        lanes.finish(2, Sample.outcome(200))
        lanes.answer(lanes.schedule.accept([lanes.write(3, 3)], isUpstreamHealthy: true, now: lanes.now))
        let ended = lanes.schedule.attemptEnded(
            Sample.contact(1),
            Sample.outcome(429, retryAfter: 1_000),
            now: lanes.now,
            backoffMilliseconds: { $0 * 60_000 }
        )
        #expect(ended?.record.attempt?.after.nextAttempt == lanes.now + 13 * 60_000)
        if let record = ended?.record { lanes.recorded(record) }
        #expect(lanes.claim() == nil)
        lanes.now = lanes.now + 1_000
        #expect(lanes.claimSequence() == 3)
    }

    @Test func `429s without Retry-After pause their key longer and longer, until it is taken again`() {
        let lanes = LaneHarness()
        var pauses: [Int64] = []
        for contact in 1...5 {
            lanes.accept(contact)
            _ = lanes.claim()
            let outcome = Sample.outcome(contact == 4 ? 200 : 429)
            let ended = lanes.schedule.attemptEnded(
                Sample.contact(contact),
                outcome,
                now: lanes.now,
                backoffMilliseconds: { $0 * 100 }
            )
            if let record = ended?.record { lanes.recorded(record) }
            if contact != 4 { pauses.append((lanes.schedule.pausedKeys[1] ?? lanes.now) - lanes.now) }
            lanes.now = lanes.now + 100_000
            // Those that had to wait are out of the way.
            for contact in 1...contact where lanes.schedule.lanes[Sample.contact(contact)] != nil {
                _ = lanes.withdraw(Int64(contact), contact)
            }
        }
        #expect(pauses == [100, 200, 300, 100], "they count until something else is answered")
    }

    @Test func `the grace of a foreign 404 begins anew when something else was answered in between`() {
        let lanes = LaneHarness()
        lanes.accept(1)
        for status in [404, 503, 503, 404] {
            _ = lanes.claim()
            let record = lanes.finish(1, Sample.outcome(status, "<html/>"), backoff: 1_000)
            #expect(record?.attempt != nil, "\(status) is not the end of it")
            lanes.now = lanes.now + 180_000
        }
    }

    @Test func `a lane waits for late effects of an unclear attempt whose write is held then`() {
        for isHeld in [true, false] {
            let lanes = LaneHarness { $0.settleMilliseconds = 5_000 }
            lanes.accept(1)
            let next = lanes.accept(1)
            _ = lanes.claim()
            lanes.finish(1, Sample.timeout, backoff: 10)
            lanes.now = lanes.now + 10
            if isHeld {
                _ = lanes.claim()
                lanes.finish(1, Sample.outcome(403))
            } else {
                #expect(lanes.withdraw(1, 1))
            }
            #expect(lanes.claim() == nil)
            lanes.now = lanes.now + 5_000
            #expect(lanes.claimSequence() == next)
            #expect(lanes.schedule.settling.isEmpty && lanes.schedule.settlingUntil.isEmpty)
        }
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
            #expect(record?.attempt?.after.nextAttempt == lanes.now + delay)
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

    @Test func `a 503 with Retry-After pauses its own entry; a second contact's pauses the upstream`() {
        let lanes = LaneHarness()
        for contact in 1...4 { lanes.accept(contact, key: contact) }
        _ = (lanes.claim(), lanes.claim())
        lanes.finish(1, Sample.outcome(503, retryAfter: 5_000))
        #expect(lanes.claimSequence() == 3, "one contact may be the only one")
        lanes.finish(2, Sample.outcome(503, retryAfter: 6_000))
        #expect(lanes.claim() == nil)
        #expect(lanes.told(lanes.accept(5, wait: 2_000)) == [202], "no sender waits for what will not come")
        lanes.finish(3, Sample.outcome(200))
        lanes.now = lanes.now + 5_999
        #expect(lanes.claim() == nil)
        #expect(lanes.schedule.nextAlarm(after: lanes.now) == lanes.now + 1)
        lanes.now = lanes.now + 1
        var claimed: Set<Int64> = []
        while let sequence = lanes.claimSequence() { claimed.insert(sequence) }
        #expect(claimed == [1, 2, 4, 5])
    }

    @Test func `a 503 without Retry-After, one contact's twice, and one before a success pause nothing else`() {
        let lanes = LaneHarness()
        for contact in 1...3 { lanes.accept(contact) }
        _ = (lanes.claim(), lanes.claim(), lanes.claim())
        lanes.finish(1, Sample.outcome(503, retryAfter: 10), backoff: 1)
        lanes.now = lanes.now + 10
        #expect(lanes.claimSequence() == 1)
        lanes.finish(1, Sample.outcome(503, retryAfter: 5_000))
        lanes.finish(2, Sample.outcome(503))
        lanes.finish(3, Sample.outcome(200))
        lanes.accept(4)
        lanes.accept(5)
        #expect(lanes.claimSequence() == 4)
        lanes.finish(4, Sample.outcome(503, retryAfter: 5_000))
        #expect(lanes.claim() != nil, "a success has said that the upstream is there")
    }

    @Test func `a Retry-After of a year is obeyed for an hour`() {
        let lanes = LaneHarness()
        for contact in 1...3 { lanes.accept(contact) }
        _ = (lanes.claim(), lanes.claim())
        lanes.finish(1, Sample.outcome(503, retryAfter: 31_536_000_000))
        lanes.finish(2, Sample.outcome(503, retryAfter: 31_536_000_000))
        lanes.now = lanes.now + 3_599_999
        #expect(lanes.claim() == nil)
        lanes.now = lanes.now + 1
        #expect(lanes.claim() != nil)
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

    @Test func `a foreign refusal becomes final after foreign_reply_grace, and another outcome begins it anew`() {
        let lanes = LaneHarness {
            $0.foreignReplyGraceMilliseconds = 1_000
            $0.notFoundGraceMilliseconds = 0
        }
        let page = Sample.outcome(403, "<html>denied</html>")
        lanes.accept(1)
        _ = lanes.claim()
        #expect(lanes.finish(1, page, backoff: 900)?.attempt != nil)
        lanes.now = lanes.now + 900
        _ = lanes.claim()
        #expect(lanes.finish(1, Sample.outcome(503), backoff: 100)?.attempt != nil)
        lanes.now = lanes.now + 100
        _ = lanes.claim()
        #expect(lanes.finish(1, page, backoff: 1_000)?.attempt != nil)
        lanes.now = lanes.now + 1_000
        _ = lanes.claim()
        #expect(lanes.finish(1, page)?.endState == .dead)
    }

    // MARK: - Replies that are not the API's

    @Test(arguments: [(200, "<html>maintenance</html>"), (302, ""), (401, "<html/>"), (403, "denied")])
    func `the same foreign reply to five contacts pauses delivery, and one write at a time finds out when it is over`(
        status: Int,
        body: String
    ) {
        let lanes = LaneHarness { $0.maxInFlight = 8 }
        let page = Sample.outcome(status, body)
        for contact in 1...200 { lanes.accept(contact) }
        for _ in 1...8 { _ = lanes.claim() }
        for contact in 1...4 { lanes.finish(contact, page, backoff: 900_000) }
        #expect(lanes.schedule.foreignReplies.takeNotice() == nil)
        for contact in 5...8 { lanes.finish(contact, page, backoff: 900_000) }
        guard case .began = lanes.schedule.foreignReplies.takeNotice() else {
            Issue.record("a pause is said once")
            return
        }
        var probed: Set<Int64> = []
        for _ in 1...50 {
            #expect(lanes.claim() == nil)
            lanes.now = lanes.now + lanes.schedule.limits.foreignPauseMilliseconds
            guard let sequence = lanes.claimSequence() else {
                Issue.record("one must find out")
                return
            }
            #expect(lanes.claim() == nil, "and one alone")
            probed.insert(sequence)
            lanes.finish(Int(sequence), page, backoff: 900_000)
            #expect(lanes.schedule.foreignReplies.takeNotice() == nil)
        }
        #expect(probed.count > 10)
        lanes.now = lanes.now + lanes.schedule.limits.foreignPauseMilliseconds
        let last = lanes.claimSequence() ?? 0
        #expect(lanes.finish(Int(last), Sample.outcome(200))?.endState == .delivered)
        #expect(lanes.schedule.foreignReplies.takeNotice() == .ended)
        var delivered = 1
        while let sequence = lanes.claimSequence() {
            lanes.finish(Int(sequence), Sample.outcome(200))
            delivered += 1
        }
        #expect(delivered == 200, "nothing sleeps out what it waited only for that")
    }

    @Test func `foreign replies to a few contacts among others do not pause delivery`() {
        let lanes = LaneHarness { $0.maxInFlight = 8 }
        for round in 0..<20 {
            for contact in 1...4 {
                lanes.accept(round * 10 + contact)
                _ = lanes.claim()
                lanes.finish(round * 10 + contact, Sample.outcome(302), backoff: 900_000)
            }
            lanes.accept(round * 10 + 5)
            #expect(lanes.claim() != nil)
            lanes.finish(round * 10 + 5, Sample.outcome(200))
        }
        #expect(lanes.schedule.foreignReplies.takeNotice() == nil)
    }

    @Test func `a write is held when the same 2xx has not confirmed it twenty times in a row`() {
        let lanes = LaneHarness()
        lanes.accept(1)
        for attempt in 1...40 {
            _ = lanes.claim()
            // Another outcome in between begins the count anew.
            let outcome = attempt == 20 ? Sample.outcome(500) : Sample.outcome(200, "OK")
            let record = lanes.finish(1, outcome, backoff: 10)?.attempt
            #expect(record?.after.hold == (attempt == 40 ? .unexpected : WriteHold.none))
            if attempt == 40 { #expect(record?.after.isAmbiguous == true) }
            lanes.now = lanes.now + 10
        }
        #expect(lanes.claim() == nil)
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
        #expect(end.sequence == 1 && end.state == .dead && end.write.attempts == 2)
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
        #expect(awake == [1, 2, 3, 4, 5, 8])
    }
}
