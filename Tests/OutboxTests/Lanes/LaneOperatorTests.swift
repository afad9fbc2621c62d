import DexatelAPI
import Testing

@testable import Outbox

/// What operators do with deliveries as a whole.
@Suite struct LaneOperatorTests {
    private func pause(_ lanes: LaneHarness, _ isPaused: Bool) {
        let result: Result<Void, OutboxError>? = lanes.perform {
            PauseDeliveries(pause: isPaused ? .operator : .none, engine: lanes.engine, done: $0)
        }
        #expect(throws: Never.self) { try result?.get() }
    }

    private func flush(_ lanes: LaneHarness) {
        let result: Result<Void, OutboxError>? = lanes.perform { FlushDeliveries(done: $0) }
        #expect(throws: Never.self) { try result?.get() }
        lanes.step()
    }

    @Test func `while deliveries are paused nothing is sent and nobody waits, over a restart too`() throws {
        let lanes = try LaneHarness()
        let waiting = lanes.accept(1, wait: 2_000)
        pause(lanes, true)
        #expect(lanes.told(waiting) == [202])
        #expect(lanes.told(lanes.accept(2, wait: 2_000)) == [202])
        #expect(lanes.claim() == nil)
        try lanes.restart()
        #expect(lanes.engine.pause == .operator)
        let later = lanes.accept(3)
        #expect(lanes.claim() == nil)
        pause(lanes, false)
        #expect(Set(lanes.claimAll()) == [waiting, waiting + 1, later])
        #expect(lanes.findings() == [])
    }

    @Test func `too many deaths within a minute pause deliveries until an operator has them go on`() throws {
        let lanes = try LaneHarness {
            $0.maxInFlight = 20
            $0.maxDeathsPerMinute = 3
        }
        for contact in 1...6 { lanes.accept(contact) }
        #expect(lanes.claimAll().count == 6)
        for contact in 1...5 { lanes.finish(contact, Sample.outcome(422)) }
        lanes.finish(6, Sample.outcome(200))
        #expect(lanes.counts.dead == 3 && lanes.counts.pending == 2 && lanes.counts.delivered == 1)
        #expect(lanes.engine.pause == .deaths)
        #expect(lanes.claim() == nil)
        pause(lanes, true)
        #expect(lanes.engine.pause == .deaths, "an operator's pause is no other reason")
        try lanes.restart()
        #expect(lanes.engine.pause == .deaths && lanes.claim() == nil)
        pause(lanes, false)
        #expect(lanes.engine.pause == .none)
        #expect(lanes.claimAll().count == 2)
        for contact in 4...5 { lanes.finish(contact, Sample.outcome(422)) }
        #expect(lanes.counts.dead == 5 && lanes.counts.pending == 0)
        #expect(lanes.findings() == [])
    }

    @Test func `the brake keeps old writes from dying, and counts no refusal that its sender sees`() throws {
        let lanes = try LaneHarness {
            $0.maxInFlight = 20
            $0.maxDeathsPerMinute = 2
            $0.maxAgeMilliseconds = 3_600_000
        }
        for contact in 1...5 { lanes.accept(contact, wait: 60_000) }
        #expect(lanes.claimAll().count == 5)
        for contact in 1...5 { lanes.finish(contact, Sample.outcome(422)) }
        #expect(lanes.counts.rejected == 5 && lanes.engine.pause == .none)
        for contact in 1...5 { lanes.accept(contact) }
        lanes.now = lanes.now + 3_600_001
        for _ in 1...3 { lanes.keepHouse() }
        #expect(lanes.counts.dead == 2 && lanes.counts.pending == 3)
        #expect(lanes.engine.pause == .deaths)
        #expect(lanes.findings() == [])
    }

    @Test func `the brake counts a minute`() {
        var brake = DeathBrake()
        var taken: [Int] = []
        for (second, wanted) in [(0, 2), (30, 2), (59, 0), (60, 3), (90, 2), (91, 1)] as [(Int64, Int)] {
            taken.append(brake.take(wanted, limit: 5, now: RelayTime(milliseconds: second * 1_000)))
        }
        #expect(taken == [2, 2, 0, 3, 2, 0] && brake.isOn)
        #expect(brake.take(1, limit: 5, now: 600_000) == 0, "only an operator takes it off")
        brake.release()
        #expect(brake.take(1, limit: 5, now: 600_000) == 1)
    }

    @Test func `a flush ends backoffs, Retry-After and the pauses of keys and of the upstream, and no hold`() throws {
        let lanes = try LaneHarness { $0.maxInFlight = 20 }
        let outcomes: [(key: Int, outcome: DeliveryOutcome)] = [
            (1, Sample.outcome(500)), (2, Sample.outcome(429, retryAfter: 3_600_000)),
            (3, Sample.outcome(503, retryAfter: 3_600_000)), (4, Sample.outcome(503, retryAfter: 3_600_000)),
            (5, Sample.outcome(401)), (6, Sample.outcome(403)), (1, Sample.timeout),
        ]
        for (contact, entry) in outcomes.enumerated() { lanes.accept(contact, key: entry.key) }
        #expect(lanes.claimAll().count == outcomes.count)
        for (contact, entry) in outcomes.enumerated() { lanes.finish(contact, entry.outcome, backoff: 3_600_000) }
        lanes.accept(20, key: 2)
        #expect(lanes.claim() == nil)
        flush(lanes)
        #expect(Set(lanes.claimAll()) == [1, 2, 3, 4, 7, 8])
        #expect(lanes.counts.held == 2)
        #expect(lanes.findings() == [])
    }

    @Test func `a thousand contacts are held and let go without a change of their writes`() throws {
        let lanes = try LaneHarness()
        lanes.submit((1...1_000).map { lanes.write(UInt64($0), $0) })
        let contacts = (1...1_000).map(Sample.contact)
        for isStopped in [true, false] {
            for start in stride(from: 0, to: contacts.count, by: StopContacts.maxContacts) {
                let part = Array(contacts[start..<min(start + StopContacts.maxContacts, contacts.count)])
                let changed: Result<Int, OutboxError>? = lanes.perform {
                    StopContacts(contacts: part, isStopped: isStopped, done: $0)
                }
                #expect(try changed?.get() == part.count)
            }
            #expect(lanes.counts.held == (isStopped ? 1_000 : 0))
            #expect(lanes.findings() == [])
            #expect((lanes.claim() != nil) != isStopped)
        }
    }
}
