import DexatelAPI
import TestSupport
import Testing

@testable import Outbox

/// A lane that is ready is served before any other has been served twice more, whatever comes in; and keys take turns.
@Suite struct LaneFairnessTests {
    @Test(arguments: 1...6)
    func `a ready lane is served before any other has been served twice more`(_ seed: Int) throws {
        var random = SeededGenerator(seed: UInt64(seed))
        let lanes = try LaneHarness {
            $0.maxInFlight = 3
            $0.supersedes = false
        }
        let contacts = 40
        /// How often other lanes were served since each lane became ready.
        var since: [Int: [Int: Int]] = [:]
        var pending: [Int: Int] = [:]
        var served = 0
        for step in 0..<600 {
            if step < 400 {
                // A few contacts are written to all the time, the others now and then.
                let writes = (0..<Int.random(in: 0...3, using: &random)).map { _ in
                    Int.random(in: 0..<(random.chance(oneIn: 4) ? contacts : 4), using: &random)
                }
                for contact in writes {
                    lanes.accept(contact)
                    pending[contact, default: 0] += 1
                    if pending[contact] == 1 { since[contact] = [:] }
                }
            }
            if random.chance(oneIn: 2) { lanes.now = lanes.now + Int64.random(in: 0...2, using: &random) }
            if let delivery = lanes.claim() {
                let contact = Int(delivery.contact.contact)
                served += 1
                since[contact] = nil
                for other in since.keys { since[other]?[contact, default: 0] += 1 }
                let most = since.values.compactMap { $0[contact] }.max() ?? 0
                #expect(most <= 2, "seed \(seed): \(contact) was served \(most) times while another lane was ready")
            }
            if random.chance(oneIn: 2), let contact = lanes.upstream.underWay.keys.randomElement(using: &random) {
                let number = Int(contact.contact)
                lanes.finish(number, Sample.outcome(200))
                pending[number, default: 1] -= 1
                if pending[number] ?? 0 > 0 { since[number] = [:] }
            }
        }
        #expect(served > 200, "seed \(seed)")
        #expect(lanes.findings() == [])
    }

    @Test(arguments: 1...4)
    func `a key that has something ready is served before any other has been served twice more`(_ seed: Int) throws {
        var random = SeededGenerator(seed: UInt64(seed))
        let lanes = try LaneHarness {
            $0.maxInFlight = 2
            $0.supersedes = false
        }
        // One key is busy, the others have little.
        for contact in 0..<60 { lanes.accept(contact, key: 1) }
        for contact in 60..<70 { lanes.accept(contact, key: 2) }
        for contact in 70..<73 { lanes.accept(contact, key: 3) }
        var left = [1: 60, 2: 10, 3: 3]
        var since: [Int: [Int: Int]] = [1: [:], 2: [:], 3: [:]]
        while let delivery = lanes.claim() {
            let contact = Int(delivery.contact.contact)
            let key = contact < 60 ? 1 : contact < 70 ? 2 : 3
            left[key, default: 1] -= 1
            since[key] = left[key] ?? 0 > 0 ? [:] : nil
            for other in since.keys where other != key { since[other]?[key, default: 0] += 1 }
            #expect((since.values.compactMap { $0[key] }.max() ?? 0) <= 2, "seed \(seed)")
            lanes.finish(contact, Sample.outcome(200))
            // The busy one goes on being written to.
            if random.chance(oneIn: 3), key == 1, lanes.counts.accepted < 120 {
                lanes.accept(contact, key: 1)
                left[1, default: 0] += 1
                if since[1] == nil { since[1] = [:] }
            }
        }
        #expect(lanes.findings() == [])
    }

    @Test func `of a backlog that came in round-robin every contact has its first delivery before others their second`()
        throws
    {
        let lanes = try LaneHarness { $0.supersedes = false }
        for _ in 0..<3 { for contact in 0..<50 { lanes.accept(contact) } }
        var rounds: [Int: Int] = [:]
        while let delivery = lanes.claim() {
            let contact = Int(delivery.contact.contact)
            rounds[contact, default: 0] += 1
            #expect((rounds.values.max() ?? 0) - (rounds.count < 50 ? 0 : rounds.values.min() ?? 0) <= 1)
            lanes.finish(contact, Sample.outcome(200))
        }
        #expect(rounds.values.allSatisfy { $0 == 3 })
    }
}
