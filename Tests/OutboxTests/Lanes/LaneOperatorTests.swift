import DexatelAPI
import Testing

@testable import Outbox

/// What operators do with deliveries as a whole.
@Suite struct LaneOperatorTests {
    private func pause(_ lanes: LaneHarness, _ isPaused: Bool) {
        let result: Result<Void, OutboxError>? = lanes.perform {
            PauseDeliveries(isPaused: isPaused, engine: lanes.engine, done: $0)
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
        #expect(lanes.engine.isPaused)
        let later = lanes.accept(3)
        #expect(lanes.claim() == nil)
        pause(lanes, false)
        #expect(Set(lanes.claimAll()) == [waiting, waiting + 1, later])
        #expect(lanes.findings() == [])
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
