import Testing

@testable import Outbox

/// What is sent again when (design §3.3), over the commit thread's loop and a database.
@Suite struct LaneDeliveryTests {
    @Test func `a lane goes on only when the outcome of its head is durable`() throws {
        let lanes = try LaneHarness()
        lanes.accept(1)
        let second = lanes.accept(1)
        #expect(lanes.claim() != nil)
        #expect(lanes.claim() == nil)
        lanes.end(1, Sample.outcome(200))
        #expect(lanes.engine.inFlightCount == 0 && lanes.engine.isClaimed(Sample.contact(1)))
        lanes.step()
        #expect(lanes.claimSequence() == second)
        #expect(lanes.findings() == [])
    }

    @Test func `after a dead write the lane goes on`() throws {
        let lanes = try LaneHarness()
        lanes.accept(1)
        let second = lanes.accept(1)
        _ = lanes.claim()
        #expect(lanes.finish(1, Sample.outcome(422))?.state == .dead)
        #expect(lanes.claimSequence() == second)
    }

    @Test func `a lane that backs off stops no other`() throws {
        let lanes = try LaneHarness()
        let poisoned = lanes.accept(1)
        lanes.accept(1)
        #expect(lanes.claimSequence() == poisoned)
        lanes.finish(1, Sample.outcome(500), backoff: 60_000)
        for contact in 2...30 {
            let write = lanes.accept(contact)
            #expect(lanes.claimSequence() == write)
            lanes.finish(contact, Sample.outcome(200))
        }
        #expect(lanes.claim() == nil)
        lanes.now = lanes.now + 60_000
        #expect(lanes.claimSequence() == poisoned)
        #expect(lanes.findings() == [])
    }

    @Test func `no more than the limit is under way`() throws {
        let lanes = try LaneHarness { $0.maxInFlight = 3 }
        for contact in 1...5 { lanes.accept(contact) }
        #expect(lanes.claimAll().count == 3)
        lanes.finish(1, Sample.outcome(200))
        #expect(lanes.claimAll().count == 1)
    }

    // MARK: - 429 and 503

    @Test func `a 429 pauses its key as long as it says, however often the write had been tried`() throws {
        let lanes = try LaneHarness()
        lanes.accept(1)
        for _ in 1...12 {
            #expect(lanes.claimSequence() == 1)
            lanes.finish(1, Sample.outcome(500), backoff: 0)
        }
        let first = lanes.claimSequence()
        let third = lanes.accept(3)
        lanes.upstream.setBackoff { $0 * 60_000 }
        let fate = lanes.finishAsIs(1, Sample.outcome(429, retryAfter: 1_000))
        #expect(first == 1 && fate?.pending?.nextAttempt == lanes.now + 13 * 60_000)
        #expect(lanes.claim() == nil)
        lanes.now = lanes.now + 1_000
        #expect(lanes.claimSequence() == third)
    }

    @Test func `429s without Retry-After pause their key longer and longer, until it is taken again`() throws {
        let lanes = try LaneHarness()
        var pauses: [Int64] = []
        for contact in 1...5 {
            lanes.accept(contact)
            lanes.upstream.setBackoff { $0 * 100 }
            let sequence = lanes.claimSequence()
            let outcome = Sample.outcome(contact == 4 ? 200 : 429)
            _ = lanes.finishAsIs(contact, outcome)
            let until = lanes.loop.lanes.judge.keys.pausedUntil(1, now: lanes.now)
            if contact != 4 { pauses.append((until ?? lanes.now) - lanes.now) }
            lanes.now = lanes.now + 100_000
            if let sequence, contact != 4 { #expect(lanes.discard(sequence)) }
        }
        #expect(pauses == [100, 200, 300, 100], "they count until something else is answered")
    }

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
    ) throws {
        for status in [429, 503, 500] {
            let lanes = try LaneHarness()
            let write = lanes.accept(1)
            _ = lanes.claim()
            let fate = lanes.finish(1, Sample.outcome(status, retryAfter: retryAfter), backoff: backoff)
            #expect(fate?.pending?.nextAttempt == lanes.now + delay)
            if delay > 0 {
                lanes.now = lanes.now + (delay - 1)
                #expect(lanes.claim() == nil)
                lanes.now = lanes.now + 1
            }
            #expect(lanes.claimSequence() == write)
        }
    }

    @Test func `a 429 pauses its key and no other`() throws {
        let lanes = try LaneHarness()
        lanes.accept(1, key: 1)
        _ = lanes.claim()
        lanes.finish(1, Sample.outcome(429, retryAfter: 5_000))
        lanes.accept(2, key: 1)
        let other = lanes.accept(3, key: 2)
        #expect(lanes.claimAll() == [other])
        lanes.now = lanes.now + 5_000
        #expect(lanes.claimAll().count == 2)
    }

    @Test func `neither a late success nor a shorter 429 lifts the pause of a 429`() throws {
        let lanes = try LaneHarness()
        for contact in 1...3 { lanes.accept(contact) }
        _ = lanes.claimAll()
        lanes.finish(1, Sample.outcome(429, retryAfter: 5_000))
        lanes.finish(2, Sample.outcome(200))
        lanes.finish(3, Sample.outcome(429), backoff: 10)
        lanes.accept(4)
        lanes.now = lanes.now + 4_999
        #expect(lanes.claim() == nil)
        lanes.now = lanes.now + 1
        #expect(lanes.claim() != nil)
    }

    @Test func `a 503 with Retry-After pauses its own entry; a second contact's pauses the upstream`() throws {
        let lanes = try LaneHarness()
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
        lanes.now = lanes.now + 1
        #expect(Set(lanes.claimAll()) == [1, 2, 4, 5])
    }

    @Test func `a 503 without Retry-After, one contact's twice, and one before a success pause nothing else`() throws {
        let lanes = try LaneHarness()
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

    // MARK: - Not found, age, settling, recovery

    @Test func `a foreign 404 becomes final after not_found_grace`() throws {
        let lanes = try LaneHarness { $0.notFoundGraceMilliseconds = 1_000 }
        lanes.accept(1)
        _ = lanes.claim()
        #expect(lanes.finish(1, Sample.outcome(404, ""), backoff: 999)?.pending != nil)
        lanes.now = lanes.now + 999
        _ = lanes.claim()
        #expect(lanes.finish(1, Sample.outcome(404, ""), backoff: 1)?.pending != nil)
        lanes.now = lanes.now + 1
        _ = lanes.claim()
        #expect(lanes.finish(1, Sample.outcome(404, ""))?.state == .dead)
    }

    @Test func `a foreign refusal becomes final after foreign_reply_grace, and another outcome begins it anew`() throws
    {
        let lanes = try LaneHarness {
            $0.foreignReplyGraceMilliseconds = 1_000
            $0.notFoundGraceMilliseconds = 0
        }
        let page = Sample.outcome(403, "<html>denied</html>")
        lanes.accept(1)
        for (outcome, delay) in [(page, 900), (Sample.outcome(503), 100), (page, 1_000)] as [(DeliveryOutcome, Int64)] {
            _ = lanes.claim()
            #expect(lanes.finish(1, outcome, backoff: delay)?.pending != nil)
            lanes.now = lanes.now + delay
        }
        _ = lanes.claim()
        #expect(lanes.finish(1, page)?.state == .dead)
    }

    @Test(arguments: [true, false])
    func `a lane waits for late effects of an unclear attempt whose write is held or discarded then`(_ isHeld: Bool)
        throws
    {
        let lanes = try LaneHarness { $0.settleMilliseconds = 5_000 }
        lanes.accept(1)
        let next = lanes.accept(1)
        _ = lanes.claim()
        lanes.finish(1, Sample.timeout, backoff: 10)
        lanes.now = lanes.now + 10
        _ = lanes.claim()
        lanes.finish(1, Sample.outcome(isHeld ? 403 : 422))
        #expect(lanes.claim() == nil)
        lanes.now = lanes.now + 5_000
        #expect(lanes.claimSequence() == next)
    }

    @Test(arguments: [true, false])
    func `settle delays the next write after an ambiguous one, also when the lane was empty`(_ isThere: Bool) throws {
        let lanes = try LaneHarness { $0.settleMilliseconds = 300 }
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
        lanes.finish(1, Sample.outcome(200))
        #expect(lanes.accept(1) == lanes.claimSequence(), "and no other")
    }

    @Test func `a write older than max_age dies unsent, and its sender is told 202 once`() throws {
        let lanes = try LaneHarness { $0.maxAgeMilliseconds = 1_000 }
        lanes.accept(1)
        _ = lanes.claim()
        lanes.finish(1, Sample.outcome(500), backoff: 1_000)
        let next = lanes.accept(1)
        let waiting = lanes.accept(2, wait: 60_000)
        lanes.now = lanes.now + 1_000
        #expect(Set(lanes.claimAll()) == [1, waiting], "not older than max_age yet")
        lanes.finish(1, Sample.outcome(500), backoff: 1)
        lanes.finish(2, Sample.outcome(500), backoff: 1)
        lanes.now = lanes.now + 1
        #expect(lanes.claim() == nil)
        for sequence in [1, next, waiting] { #expect(lanes.fate(sequence)?.state == .dead) }
        #expect(lanes.told(waiting) == [202])
        #expect(lanes.findings() == [])
    }

    @Test func `when the upstream is back, only what waited for that goes on at once`() throws {
        let lanes = try LaneHarness { $0.maxInFlight = 20 }
        let outcomes = [
            Sample.unreachable, Sample.timeout, Sample.outcome(502), Sample.outcome(503), Sample.outcome(504),
            Sample.outcome(503, retryAfter: 9_000), Sample.outcome(500), Sample.outcome(302), Sample.outcome(403),
        ]
        for (index, outcome) in outcomes.enumerated() {
            lanes.accept(index, key: index)
            _ = lanes.claim()
            lanes.finish(index, outcome, backoff: 9_000)
        }
        #expect(lanes.claim() == nil)
        lanes.engine.upstreamRecovered()
        #expect(Set(lanes.claimAll()) == [1, 2, 3, 4, 5, 8])
        #expect(lanes.findings() == [])
    }

    // MARK: - Replies that are not the API's

    @Test(arguments: [(200, "<html>maintenance</html>"), (302, ""), (401, "<html/>"), (403, "denied")])
    func `the same foreign reply to five contacts pauses delivery, and one write at a time finds out when it is over`(
        status: Int,
        body: String
    ) throws {
        let lanes = try LaneHarness { $0.maxInFlight = 8 }
        let page = Sample.outcome(status, body)
        for contact in 1...40 { lanes.accept(contact) }
        for _ in 1...8 { _ = lanes.claim() }
        for contact in 1...8 { lanes.finish(contact, page, backoff: 900_000) }
        #expect(lanes.loop.lanes.judge.upstream.probesAlone)
        var probed: Set<Int64> = []
        for _ in 1...50 {
            #expect(lanes.claim() == nil)
            lanes.now = lanes.now + lanes.limits.foreignPauseMilliseconds
            let claimed = lanes.claimAll()
            #expect(claimed.count == 1, "one alone finds out")
            guard let sequence = claimed.first else { return }
            probed.insert(sequence)
            lanes.finish(Int(sequence), page, backoff: 900_000)
        }
        #expect(probed.count > 10, "and not always the same")
        lanes.now = lanes.now + lanes.limits.foreignPauseMilliseconds
        let last = lanes.claimSequence() ?? 0
        #expect(lanes.finish(Int(last), Sample.outcome(200))?.state == .delivered)
        var delivered = 1
        while let sequence = lanes.claimSequence() {
            lanes.finish(Int(sequence), Sample.outcome(200))
            delivered += 1
        }
        #expect(delivered == 40, "nothing sleeps out what it waited only for that")
        #expect(lanes.findings() == [])
    }

    @Test func `foreign replies to a few contacts among others do not pause delivery`() throws {
        let lanes = try LaneHarness()
        for round in 0..<5 {
            for contact in 1...4 {
                lanes.accept(round * 10 + contact)
                _ = lanes.claim()
                lanes.finish(round * 10 + contact, Sample.outcome(302), backoff: 900_000)
            }
            lanes.accept(round * 10 + 5)
            #expect(lanes.claim() != nil)
            lanes.finish(round * 10 + 5, Sample.outcome(200))
        }
        #expect(!lanes.loop.lanes.judge.upstream.probesAlone)
    }

    @Test func `a write is held when the same 2xx has not confirmed it twenty times in a row`() throws {
        let lanes = try LaneHarness()
        lanes.accept(1)
        for attempt in 1...40 {
            _ = lanes.claim()
            // Another outcome in between begins the count anew.
            let outcome = attempt == 20 ? Sample.outcome(500) : Sample.outcome(200, "OK")
            let pending = lanes.finish(1, outcome, backoff: 10)?.pending
            #expect(pending?.hold == (attempt == 40 ? .unexpected : WriteHold.none))
            if attempt == 40 { #expect(pending?.isAmbiguous == true) }
            lanes.now = lanes.now + 10
        }
        #expect(lanes.claim() == nil)
        #expect(lanes.findings() == [])
    }
}
