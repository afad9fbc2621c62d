import DexatelAPI
import NIOCore
import Testing

@testable import Outbox

/// Holds of keys, writes and contacts, and how they end (design §3.3).
@Suite struct LaneHoldTests {
    // MARK: - Keys

    @Test func `a 401 holds the key, and other keys' writes to the same contacts go on at once`() throws {
        let lanes = try LaneHarness { $0.maxInFlight = 20 }
        lanes.accept(1, key: 1)
        for contact in 2...6 { lanes.accept(contact, key: 1) }
        let others = (1...6).map { lanes.accept($0, key: 2) }
        #expect(lanes.claimSequence() == 1)
        let fate = lanes.finish(1, Sample.outcome(401))
        #expect(fate?.pending?.hold == WriteHold.none && lanes.key(1).isHeld, "the key is held, not the write")
        #expect(lanes.counts.held == 6)
        #expect(Set(lanes.claimAll()) == Set(others))
        for contact in 1...6 { lanes.finish(contact, Sample.outcome(200)) }
        #expect(lanes.claim() == nil)
        #expect(lanes.findings() == [])
    }

    @Test func `a held key has one probe in each hold_probe, which take turns among its lanes`() throws {
        let lanes = try LaneHarness()
        for contact in 1...4 { lanes.accept(contact) }
        #expect(lanes.claimSequence() == 1)
        lanes.finish(1, Sample.outcome(401))
        var probes: [Int64] = []
        for _ in 1...8 {
            lanes.now = lanes.now + (lanes.limits.holdProbeMilliseconds - 1)
            #expect(lanes.claim() == nil)
            lanes.now = lanes.now + 1
            let claimed = lanes.claimAll()
            #expect(claimed.count == 1, "one probe alone")
            probes += claimed
            for sequence in claimed { lanes.finish(Int(sequence), Sample.outcome(401)) }
        }
        #expect(probes == [2, 3, 4, 1, 2, 3, 4, 1])
        lanes.now = lanes.now + lanes.limits.holdProbeMilliseconds
        #expect(lanes.claimSequence() == 2)
        #expect(lanes.finish(2, Sample.outcome(200))?.state == .delivered)
        #expect(!lanes.key(1).isHeld && lanes.counts.held == 0)
        #expect(Set(lanes.claimAll()) == [1, 3, 4])
        #expect(lanes.findings() == [])
    }

    @Test(arguments: [(422, true), (500, true), (429, true), (403, true), (503, false), (302, false)])
    func `any reply of the upstream's own but 401 shows that it takes the key`(_ status: Int, _ isTaken: Bool) throws {
        let lanes = try LaneHarness()
        for contact in 1...2 { lanes.accept(contact) }
        _ = lanes.claim()
        lanes.finish(1, Sample.outcome(401))
        #expect(lanes.key(1).isHeld)
        lanes.now = lanes.now + lanes.limits.holdProbeMilliseconds
        #expect(lanes.claimSequence() == 2)
        lanes.finish(2, Sample.outcome(status), backoff: 1_000_000)
        #expect(lanes.key(1).isHeld != isTaken)
        #expect(lanes.findings() == [])
    }

    @Test func `a reply to anything else with the key lets its writes go`() throws {
        let lanes = try LaneHarness()
        lanes.accept(1)
        _ = lanes.claim()
        lanes.finish(1, Sample.outcome(401))
        #expect(lanes.claim() == nil)
        lanes.commits.perform(TakeKey(key: lanes.key(1)))
        lanes.step()
        #expect(!lanes.key(1).isHeld)
        #expect(lanes.claimSequence() == 1)
        #expect(lanes.findings() == [])
    }

    @Test
    func `a 401 to a sender that waits refuses that write, and holds the key only if something acknowledged waits`()
        throws
    {
        for hasOther in [false, true] {
            let lanes = try LaneHarness()
            lanes.accept(1, wait: 2_000)
            let waiting = lanes.accept(2, wait: 2_000)
            if hasOther { lanes.accept(3) }
            _ = lanes.claim()
            #expect(lanes.finish(1, Sample.outcome(401))?.state == .rejected)
            #expect(lanes.key(1).isHeld == hasOther && lanes.key(1).current.isRefused)
            #expect(lanes.told(waiting) == (hasOther ? [202] : []))
            #expect(lanes.claimAll() == (hasOther ? [] : [waiting]))
            #expect(lanes.findings() == [])
        }
    }

    @Test func `a key is not held for what does not wait for it`() throws {
        let lanes = try LaneHarness()
        // One is stopped with its contact, the other held on a 403.
        lanes.stop(1)
        lanes.accept(1)
        lanes.accept(2)
        _ = lanes.claim()
        lanes.finish(2, Sample.outcome(403))
        lanes.accept(3, wait: 2_000)
        _ = lanes.claim()
        #expect(lanes.finish(3, Sample.outcome(401))?.state == .rejected)
        #expect(!lanes.key(1).isHeld)
        // And no longer once what waited has gone.
        let waiting = lanes.accept(4)
        _ = lanes.claim()
        lanes.finish(4, Sample.outcome(401))
        #expect(lanes.key(1).isHeld)
        #expect(lanes.discard(waiting))
        #expect(!lanes.key(1).isHeld)
        #expect(lanes.findings() == [])
    }

    @Test func `a write under way when its key is refused waits for it when it comes back without an answer`() throws {
        let lanes = try LaneHarness()
        lanes.accept(1)
        lanes.accept(2)
        #expect(lanes.claimAll() == [1, 2])
        lanes.finish(1, Sample.outcome(401))
        lanes.finish(2, Sample.timeout, backoff: 0)
        #expect(lanes.counts.held == 2 && lanes.claim() == nil)
    }

    @Test func `what was delivered past a held key's write puts it under the replay rule`() throws {
        for semantics in [PutSemantics.unknown, .merge] {
            let lanes = try LaneHarness { $0.putSemantics = semantics }
            let junk = lanes.accept(1, key: 1, fields: ["date", "tags"])
            _ = lanes.claim()
            lanes.finish(1, Sample.outcome(401))
            let good = lanes.accept(1, key: 2, fields: ["date"])
            #expect(lanes.claimSequence() == good)
            lanes.finish(1, Sample.outcome(200))
            #expect(lanes.findings() == [])
            lanes.now = lanes.now + lanes.limits.holdProbeMilliseconds
            let probe = lanes.claim()
            if semantics == .merge {
                #expect(probe?.sequence == junk)
                #expect(probe.map { String(buffer: $0.payload.body) } == #"{"data":{"tags":"1"}}"#)
            } else {
                #expect(probe == nil)
                #expect(lanes.fate(junk)?.pending?.hold == .overtaken)
                #expect(!lanes.key(1).isHeld, "nothing waits for it any more")
            }
            #expect(lanes.findings() == [])
        }
    }

    @Test func `a write of a key that works again goes before later ones of its contact`() throws {
        let lanes = try LaneHarness()
        let first = lanes.accept(1, key: 1)
        _ = lanes.claim()
        lanes.finish(1, Sample.outcome(401))
        let second = lanes.accept(1, key: 2)
        #expect(lanes.claimSequence() == second)
        lanes.finish(1, Sample.outcome(500), backoff: 10)
        lanes.commits.perform(TakeKey(key: lanes.key(1)))
        lanes.now = lanes.now + 10
        #expect(lanes.claimAll() == [first])
        lanes.finish(1, Sample.outcome(200))
        #expect(lanes.claimSequence() == second)
        #expect(lanes.findings() == [])
    }

    @Test func `a key that is replaced goes on with the new one, held or not`() throws {
        for isHeld in [false, true] {
            let lanes = try LaneHarness()
            lanes.accept(1, key: 1)
            let waiting = lanes.accept(2, key: 1)
            lanes.accept(9, key: 2)
            _ = lanes.claim()
            lanes.finish(1, Sample.outcome(isHeld ? 401 : 200))
            lanes.replace(key: 1, by: 2)
            #expect(lanes.counts.held == 0)
            var claimed: [Int64: Delivery] = [:]
            while let delivery = lanes.claim() { claimed[delivery.sequence] = delivery }
            #expect(claimed[waiting]?.apiKey == lanes.key(2).secret)
            #expect(claimed.count == (isHeld ? 3 : 2))
            #expect(lanes.findings() == [])
        }
    }

    @Test(arguments: [401, 403, 429])
    func `what an attempt with a key says of it says nothing of the key that has replaced it meanwhile`(_ status: Int)
        throws
    {
        let lanes = try LaneHarness()
        let write = lanes.accept(1, key: 1)
        let other = lanes.accept(2, key: 2)
        #expect(lanes.claimSequence() == write)
        lanes.replace(key: 1, by: 2)
        let pending = lanes.finish(1, Sample.outcome(status, retryAfter: 60_000), backoff: 60_000)?.pending
        #expect(pending?.hold == WriteHold.none)
        #expect(!lanes.key(2).isHeld)
        #expect(Set(lanes.claimAll()) == [write, other], "at once, with the new key")
        lanes.finish(1, Sample.outcome(401))
        #expect(lanes.key(2).isHeld)
        #expect(lanes.findings() == [])
    }

    @Test func `a key that is held stays so over a restart, and is probed at once`() throws {
        let lanes = try LaneHarness()
        for contact in 1...2 { lanes.accept(contact, key: 1) }
        let mixed = lanes.accept(1, key: 2)
        #expect(lanes.claimSequence() == 1)
        lanes.finish(1, Sample.outcome(401))
        try lanes.restart()
        #expect(lanes.key(1).isHeld && lanes.counts.held == 2)
        #expect(Set(lanes.claimAll()) == [2, mixed])
        #expect(lanes.findings() == [])
    }

    // MARK: - Writes

    @Test func `a 403 holds that write alone, which is tried again after hold_probe, later and later`() throws {
        let lanes = try LaneHarness()
        let held = lanes.accept(1)
        let behind = lanes.accept(1)
        let other = lanes.accept(2)
        #expect(lanes.claimSequence() == held)
        #expect(lanes.finish(1, Sample.outcome(403))?.pending?.hold == .write)
        #expect(Set(lanes.claimAll()) == [behind, other])
        lanes.finish(1, Sample.outcome(422))
        lanes.finish(2, Sample.outcome(422))
        let probe = lanes.limits.holdProbeMilliseconds
        for times in [1, 2, 4, 8, 16, 16].map(Int64.init) {
            #expect(lanes.fate(held)?.pending?.nextAttempt == lanes.now + probe * times)
            lanes.now = lanes.now + (probe * times - 1)
            #expect(lanes.claim() == nil)
            lanes.now = lanes.now + 1
            #expect(lanes.claimSequence() == held)
            lanes.finish(1, Sample.outcome(403))
        }
        #expect(lanes.findings() == [])
    }

    @Test func `of many writes that are answered 403, so many are tried again in each hold_probe, and no more`() throws
    {
        let lanes = try LaneHarness { $0.maxForbiddenRetries = 10 }
        let count = 100
        for contact in 1...count {
            lanes.accept(contact)
            _ = lanes.claim()
            lanes.finish(contact, Sample.outcome(403))
        }
        func round(_ outcome: DeliveryOutcome) -> [Int64] {
            var sent: [Int64] = []
            while let sequence = lanes.claimSequence() {
                sent.append(sequence)
                lanes.finish(Int(sequence), outcome)
            }
            return sent
        }
        lanes.now = lanes.now + lanes.limits.holdProbeMilliseconds
        var seen: Set<Int64> = []
        for _ in 1...5 {
            let sent = round(Sample.outcome(403))
            #expect(sent.count == 10)
            #expect(seen.isDisjoint(with: sent), "the others come first")
            seen.formUnion(sent)
            lanes.now = lanes.now + (lanes.limits.holdProbeMilliseconds - 1)
            #expect(round(Sample.outcome(403)) == [])
            lanes.now = lanes.now + 1
        }
        // Once the upstream takes one, the others need not wait.
        #expect(round(Sample.outcome(200)).count >= count - seen.count)
        #expect(lanes.findings() == [])
    }

    @Test func `a write that comes back while a later one is under way is judged when that is delivered`() throws {
        for outcome in [200, 422] {
            let lanes = try LaneHarness()
            let first = lanes.accept(1)
            _ = lanes.claim()
            lanes.finish(1, Sample.outcome(403))
            let second = lanes.accept(1)
            #expect(lanes.claimSequence() == second)
            lanes.now = lanes.now + lanes.limits.holdProbeMilliseconds
            lanes.step()
            #expect(lanes.fate(first)?.pending?.hold == WriteHold.none)
            lanes.finish(1, Sample.outcome(outcome))
            if outcome == 200 {
                #expect(lanes.claim() == nil)
                #expect(lanes.fate(first)?.pending?.hold == .overtaken)
            } else {
                #expect(lanes.claimSequence() == first, "what was refused has changed nothing")
            }
            #expect(lanes.findings() == [])
        }
    }

    @Test func `a write that is answered 403 after an unclear attempt is sent after what it had covered`() throws {
        let lanes = try LaneHarness()
        let covered = lanes.accept(1, fields: ["date"])
        let covering = lanes.accept(1, fields: ["date"])
        #expect(lanes.claimSequence() == covering)
        lanes.finish(1, Sample.timeout, backoff: 10)
        lanes.now = lanes.now + 10
        #expect(lanes.claimSequence() == covering)
        let held = lanes.finish(1, Sample.outcome(403))?.pending
        #expect(held?.hold == .write && held?.isAmbiguous == true)
        #expect(lanes.claimSequence() == covered)
        #expect(lanes.finish(1, Sample.outcome(200))?.state == .delivered)
        lanes.now = lanes.now + lanes.limits.holdProbeMilliseconds
        #expect(lanes.claimSequence() == covering, "the newer values come last")
        #expect(lanes.findings() == [])
    }

    // MARK: - Contacts and operators

    @Test func `an operator stops a contact and lets it go, and order is kept, over a restart too`() throws {
        let lanes = try LaneHarness()
        for _ in 1...3 { lanes.accept(1) }
        let other = lanes.accept(2)
        #expect(lanes.claimSequence() == 1)
        lanes.stop(1)
        #expect(lanes.counts.held == 3)
        lanes.finish(1, Sample.outcome(500), backoff: 1)
        lanes.now = lanes.now + 1
        #expect(lanes.claimAll() == [other])
        lanes.finish(2, Sample.outcome(200))
        #expect(lanes.told(lanes.accept(1, wait: 2_000)) == [202])
        #expect(lanes.counts.held == 4 && lanes.findings() == [])
        try lanes.restart()
        #expect(lanes.claim() == nil)
        lanes.stop(1, false)
        #expect(lanes.counts.held == 0 && lanes.findings() == [])
        var order: [Int64] = []
        while let sequence = lanes.claimSequence() {
            order.append(sequence)
            lanes.finish(1, Sample.outcome(200))
        }
        #expect(order == [1, 2, 3, 5])
        #expect(lanes.findings() == [])
    }

    @Test func `a write that an operator ends is sent no more, unless it is under way`() throws {
        let lanes = try LaneHarness { $0.maxInFlight = 1 }
        for contact in 1...3 { lanes.accept(contact) }
        let behind = lanes.accept(2)
        #expect(lanes.claimSequence() == 1)
        #expect(!lanes.discard(1), "it is under way")
        #expect(lanes.discard(2))
        lanes.finish(1, Sample.outcome(200))
        #expect(lanes.claimSequence() == 3)
        lanes.finish(3, Sample.outcome(200))
        #expect(lanes.claimSequence() == behind)
        #expect(lanes.findings() == [])
    }

    @Test func `what is claimed goes behind an earlier write whose key works again, or that an operator lets go`()
        throws
    {
        for isTaken in [true, false] {
            let lanes = try LaneHarness()
            let first = lanes.accept(1, key: 1)
            let probed = isTaken ? lanes.accept(2, key: 1) : nil
            _ = lanes.claim()
            if probed != nil { lanes.finish(1, Sample.outcome(401)) } else { lanes.finish(1, Sample.outcome(422)) }
            let later = lanes.accept(1, key: 2)
            lanes.claimAhead()
            #expect(lanes.engine.isClaimed(Sample.contact(1)))
            if isTaken {
                lanes.commits.perform(TakeKey(key: lanes.key(1)))
                lanes.step()
            } else {
                #expect(lanes.change(.retry(isForced: false), [first])?.changed == 1)
            }
            let sent = lanes.claimAll()
            #expect(sent.contains(first) && !sent.contains(later), "\(isTaken): \(sent)")
            #expect(lanes.findings() == [])
            lanes.finish(1, Sample.outcome(200))
            #expect(lanes.claimSequence() == later)
        }
    }

    @Test func `a dead write that is retried goes before later ones of its contact that were not sent`() throws {
        let lanes = try LaneHarness()
        let dead = lanes.accept(1)
        _ = lanes.claim()
        lanes.finish(1, Sample.outcome(422))
        let later = lanes.accept(1)
        #expect(lanes.change(.retry(isForced: false), [dead])?.changed == 1)
        #expect(lanes.findings() == [])
        #expect(lanes.claimSequence() == dead)
        lanes.finish(1, Sample.outcome(200))
        #expect(lanes.claimSequence() == later)
    }
}
