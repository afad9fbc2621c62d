import DexatelAPI
import Testing

@testable import Outbox

/// No contact, key or bad write starves the others, however much of it there is (P3).
@Suite struct LaneScheduleFairnessTests {
    private static func small(_ limits: inout LaneSchedule.Limits) { limits.maxWindowWrites = 64 }

    /// Sends what there is to send, until nothing is ready; the outcome is for the upstream to say.
    private func deliver(_ lanes: LaneHarness, _ outcome: (LaneSchedule.Write) -> DeliveryOutcome) {
        for _ in 0..<10_000 {
            lanes.read()
            guard case .attempt(let write) = lanes.claim() else {
                if lanes.read() == 0 { return } else { continue }
            }
            lanes.finish(Int(write.pending.contact.contact), outcome(write), backoff: 60_000)
            #expect(lanes.schedule.windowCount <= lanes.schedule.limits.maxWindowWrites)
        }
        Issue.record("it never ends")
    }

    @Test(arguments: [false, true])
    func `a contact that answers 500 for ever has room for others beside it`(_ isAfterRestart: Bool) {
        let lanes = LaneHarness(Self.small)
        if isAfterRestart {
            lanes.append(Array(repeating: (1, 1), count: 200))
            lanes.append((2...51).map { ($0, 1) })
        } else {
            for _ in 1...200 { lanes.accept(1) }
            for contact in 2...51 { lanes.accept(contact) }
        }
        deliver(lanes) { Sample.outcome($0.pending.contact == Sample.contact(1) ? 500 : 200) }
        #expect(lanes.rows.count == 200 && lanes.rows.values.allSatisfy { $0.pending.contact == Sample.contact(1) })
        // It recovers, and nothing of it was lost or changed its place.
        lanes.now = lanes.now + 60_000
        var order: [Int64] = []
        deliver(lanes) { write in
            order.append(write.pending.sequence)
            return Sample.outcome(200)
        }
        #expect(order.count == 200 && order == order.sorted() && lanes.rows.isEmpty)
        #expect(lanes.schedule.lanes.isEmpty && lanes.schedule.windowCount == 0)
    }

    @Test(arguments: [false, true])
    func `a key that is paused for an hour has room for others beside it`(_ isAfterRestart: Bool) {
        let lanes = LaneHarness(Self.small)
        if isAfterRestart {
            lanes.append((1...200).map { ($0, 1) })
            lanes.append((201...250).map { ($0, 2) })
        } else {
            for contact in 1...200 { lanes.accept(contact, key: 1) }
            for contact in 201...250 { lanes.accept(contact, key: 2) }
        }
        deliver(lanes) { $0.keyRow == 1 ? Sample.outcome(429, retryAfter: 3_600_000) : Sample.outcome(200) }
        #expect(lanes.rows.count == 200 && lanes.rows.values.allSatisfy { $0.keyRow == 1 })
        lanes.now = lanes.now + 3_600_000
        deliver(lanes) { _ in Sample.outcome(200) }
        #expect(lanes.rows.isEmpty && lanes.schedule.lanes.isEmpty && lanes.schedule.behind.isEmpty)
    }

    @Test func `a hundred keys that are paused leave room for the next one`() {
        let lanes = LaneHarness { $0.maxWindowWrites = 1_024 }
        for key in 1...100 { lanes.append((1...20).map { (1_000 * key + $0, key) }) }
        for contact in 1...50 { lanes.accept(contact, key: 200) }
        deliver(lanes) { $0.keyRow == 200 ? Sample.outcome(200) : Sample.outcome(429, retryAfter: 3_600_000) }
        #expect(lanes.rows.count == 2_000)
    }

    @Test func `another key's write to a contact waits for a paused key's write that memory has no room for`() {
        let lanes = LaneHarness(Self.small)
        for contact in 1...200 { lanes.accept(contact, key: 1) }
        let behind = (191...200).map { lanes.accept($0, key: 2) }
        deliver(lanes) { $0.keyRow == 1 ? Sample.outcome(429, retryAfter: 3_600_000) : Sample.outcome(200) }
        #expect(lanes.rows.count == 210, "nothing is delivered before what came first")
        lanes.now = lanes.now + 3_600_000
        var order: [Int: [Int64]] = [:]
        deliver(lanes) { write in
            order[Int(write.pending.contact.contact), default: []].append(write.pending.sequence)
            return Sample.outcome(200)
        }
        #expect(lanes.rows.isEmpty)
        for (contact, sequence) in zip(191...200, behind) {
            #expect(order[contact] == [Int64(contact), sequence])
        }
    }

    @Test func `what an operator discards of a paused key does not strand what comes behind it`() {
        let lanes = LaneHarness(Self.small)
        for contact in 1...200 { lanes.accept(contact, key: 1) }
        let behind = lanes.accept(200, key: 2)
        deliver(lanes) { $0.keyRow == 1 ? Sample.outcome(429, retryAfter: 3_600_000) : Sample.outcome(200) }
        #expect(lanes.discard(200, 200))
        var sent: [Int64] = []
        deliver(lanes) { write in
            sent.append(write.pending.sequence)
            return Sample.outcome(200)
        }
        #expect(sent == [behind])
    }

    @Test func `a new contact is served while a backlog fills the window`() {
        for isSameKey in [true, false] {
            let lanes = LaneHarness(Self.small)
            lanes.append((1...300).map { ($0, 1) })
            lanes.read()
            let fresh = lanes.accept(1_000, key: isSameKey ? 1 : 2, wait: 2_000)
            #expect(lanes.told(fresh) == [], "its sender waits for the upstream")
            #expect([lanes.claimSequence(), lanes.claimSequence()].contains(fresh))
            lanes.finish(1_000, Sample.outcome(200))
            #expect(lanes.told(fresh) == [200])
            deliver(lanes) { _ in Sample.outcome(200) }
            #expect(lanes.schedule.inFlight.count == 1 && lanes.rows.count == 1)
        }
    }

    @Test func `a new write waits for those of its contact that are in the backlog`() {
        let lanes = LaneHarness(Self.small)
        lanes.append((1...300).map { ($0, 1) })
        lanes.read()
        let fresh = lanes.accept(300, wait: 2_000)
        #expect(lanes.told(fresh) == [202])
        var order: [Int64] = []
        deliver(lanes) { write in
            if write.pending.contact == Sample.contact(300) { order.append(write.pending.sequence) }
            return Sample.outcome(200)
        }
        #expect(order == [300, fresh] && lanes.rows.isEmpty)
    }

    @Test func `a backlog is served while new writes come faster than they go`() {
        let lanes = LaneHarness(Self.small)
        lanes.append((1...100).map { ($0, 1) })
        var contact = 1_000
        for _ in 1...400 {
            for _ in 1...2 {
                contact += 1
                lanes.accept(contact)
            }
            lanes.read()
            guard case .attempt(let write) = lanes.claim() else { continue }
            lanes.finish(Int(write.pending.contact.contact), Sample.outcome(200))
        }
        #expect(!lanes.rows.values.contains { $0.pending.sequence <= 100 })
    }

    @Test func `keys take turns, however many contacts each of them has`() {
        for isBacklog in [false, true] {
            let lanes = LaneHarness()
            if isBacklog {
                lanes.append((1...1_000).map { ($0, 1) })
                lanes.append([(2_000, 2)])
                lanes.read()
            } else {
                for contact in 1...1_000 { lanes.accept(contact, key: 1) }
                lanes.accept(2_000, key: 2)
            }
            let claimed = (1...3).compactMap { _ in lanes.claimSequence() }
            #expect(claimed.contains(1_001), "\(claimed)")
        }
    }

    @Test func `a backlog is read in parts that are worth a read`() {
        let lanes = LaneHarness()
        lanes.append((1...20_000).map { ($0, 1) })
        var reads = 0
        var claims = 0
        while true {
            reads += lanes.read()
            guard case .attempt(let write) = lanes.claim() else { break }
            claims += 1
            lanes.finish(Int(write.pending.contact.contact), Sample.outcome(200))
        }
        #expect(claims == 20_000)
        #expect(reads < 60, "\(reads)")
    }
}
