import Testing

@testable import Outbox

/// What is held leaves its lane, and how it comes back (design §3.3).
@Suite struct LaneScheduleHoldTests {
    @Test func `a junk key's write at the head of a contact does not stop a good key's writes behind it`() throws {
        let lanes = LaneHarness()
        let junk = lanes.accept(1, key: 1)
        let good = lanes.accept(1, key: 2)
        #expect(lanes.claimSequence() == junk)
        #expect(lanes.finish(1, Sample.outcome(401))?.attempt?.after.hold == .key)
        #expect(lanes.claimSequence() == good)
        #expect(lanes.finish(1, Sample.outcome(200))?.endState == .delivered)
        #expect(lanes.schedule.windowCount == 0, "what is held takes no room")
    }

    @Test func `a 401 takes the key's writes out of every lane, and other keys' writes go on at once`() {
        let lanes = LaneHarness()
        lanes.accept(1, key: 1)
        for contact in 2...6 { lanes.accept(contact, key: 1) }
        let others = (2...6).map { lanes.accept($0, key: 2) }
        _ = lanes.claim()
        let record = lanes.finish(1, Sample.outcome(401))
        #expect(record?.attempt?.refusedKey == 1)
        #expect(lanes.leaving() == [2: .key, 3: .key, 4: .key, 5: .key, 6: .key])
        var claimed: Set<Int64> = []
        while let sequence = lanes.claimSequence() { claimed.insert(sequence) }
        #expect(claimed == Set(others))
    }

    @Test func `a held key has one probe in each hold_probe, and no other write of it is sent`() {
        let lanes = LaneHarness()
        lanes.accept(1)
        _ = lanes.claim()
        lanes.finish(1, Sample.outcome(401))
        var probe = lanes.write(1, 1, attempts: 1, replay: .underRule)
        for round in 1...10 {
            lanes.now = lanes.now + (lanes.schedule.limits.holdProbeMilliseconds - 1)
            #expect(lanes.schedule.nextRecall(now: lanes.now) == nil)
            #expect(lanes.schedule.nextAlarm(after: lanes.now) == lanes.now + 1)
            lanes.now = lanes.now + 1
            #expect(lanes.recall([probe]) == .probe(1))
            #expect(lanes.claimSequence() == 1)
            let late = lanes.accept(20 + round, key: 1)
            #expect(lanes.leaving()[late] == .key)
            #expect(lanes.claim() == nil, "one probe alone")
            let record = lanes.finish(1, Sample.outcome(round == 5 ? 429 : round == 6 ? 503 : 401), backoff: 10)
            #expect(record?.attempt?.after.hold == .key, "a probe that did not come through is held again")
            probe.pending.attempts += 1
        }
        lanes.now = lanes.now + lanes.schedule.limits.holdProbeMilliseconds
        #expect(lanes.recall([probe]) == .probe(1))
        _ = lanes.claim()
        #expect(lanes.finish(1, Sample.outcome(200))?.endState == .delivered)
        let back = [lanes.write(2, 2), lanes.write(3, 3)]
        #expect(lanes.recall(back, isExhausted: false) == .key(1))
        #expect(lanes.recall([], isExhausted: true) == .key(1), "until nothing more is held")
        #expect(Set([lanes.claimSequence(), lanes.claimSequence()]) == [2, 3])
        #expect(lanes.schedule.nextRecall(now: lanes.now) == nil)
    }

    @Test func `a key without a write that may be sent is probed by its next new one`() {
        let lanes = LaneHarness()
        lanes.accept(1)
        _ = lanes.claim()
        lanes.finish(1, Sample.outcome(401))
        lanes.now = lanes.now + lanes.schedule.limits.holdProbeMilliseconds
        #expect(lanes.recall([], isExhausted: false) == .probe(1), "more are to be looked at")
        #expect(lanes.recall([], isExhausted: true) == .probe(1))
        lanes.now = lanes.now + 10 * lanes.schedule.limits.holdProbeMilliseconds
        #expect(lanes.schedule.nextRecall(now: lanes.now) == nil)
        let probe = lanes.accept(2)
        let behind = lanes.accept(3)
        #expect(lanes.leaving() == [behind: .key])
        #expect(lanes.claimSequence() == probe)
        lanes.finish(2, Sample.outcome(200))
        #expect(lanes.recall([lanes.write(behind, 3)]) == .key(1))
        #expect(lanes.claimSequence() == behind)
    }

    @Test func `a write under way when its key is refused is held when it comes back without an answer`() {
        let lanes = LaneHarness()
        let first = lanes.accept(1)
        let second = lanes.accept(2)
        #expect([lanes.claimSequence(), lanes.claimSequence()] == [first, second])
        lanes.finish(1, Sample.outcome(401))
        #expect(lanes.finish(2, Sample.timeout)?.attempt?.after.hold == .key)
        #expect(lanes.schedule.windowCount == 0)
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

    @Test func `a 403 holds that write alone, which is tried again after hold_probe`() {
        let lanes = LaneHarness()
        let held = lanes.accept(1)
        let behind = lanes.accept(1)
        let other = lanes.accept(2)
        #expect(lanes.claimSequence() == held)
        let record = lanes.finish(1, Sample.outcome(403))
        #expect(record?.attempt?.after.hold == .write)
        #expect(record?.attempt?.refusedKey == nil)
        #expect(Set([lanes.claimSequence(), lanes.claimSequence()]) == [behind, other])
        #expect(lanes.schedule.nextRecall(now: lanes.now) == nil)
        lanes.now = lanes.now + lanes.schedule.limits.holdProbeMilliseconds
        #expect(lanes.recall([lanes.write(held, 3, attempts: 1)]) == .due)
        #expect(lanes.claimSequence() == held)
        #expect(lanes.schedule.nextRecall(now: lanes.now) == nil)
    }

    @Test func `a write that is answered 403 again and again is tried less and less often, to a bound`() {
        let lanes = LaneHarness()
        lanes.accept(1)
        _ = lanes.claim()
        let probe = lanes.schedule.limits.holdProbeMilliseconds
        var write = lanes.finish(1, Sample.outcome(403))?.attempt?.after
        for times in [1, 2, 4, 8, 16, 16, 16].map(Int64.init) {
            guard let held = write else {
                Issue.record("it is held")
                return
            }
            #expect(held.hold == .write && held.nextAttempt == lanes.now + probe * times)
            lanes.now = lanes.now + (probe * times - 1)
            #expect(lanes.schedule.nextRecall(now: lanes.now) == nil)
            lanes.now = lanes.now + 1
            var back = lanes.write(1, 1, attempts: held.attempts, replay: .underRule)
            back.pending.log = held.log
            #expect(lanes.recall([back]) == .due)
            #expect(lanes.claimSequence() == 1)
            write = lanes.finish(1, Sample.outcome(403))?.attempt?.after
        }
    }

    @Test func `of thousands of writes that are answered 403, so many are tried again in each hold_probe, and no more`()
    {
        let lanes = LaneHarness { $0.maxForbiddenRetries = 10 }
        let count = 1_000
        for contact in 1...count {
            lanes.accept(contact)
            _ = lanes.claim()
            lanes.finish(contact, Sample.outcome(403))
        }
        // As the database would: those that are due, the longest first.
        var due: [Int64: RelayTime] = Dictionary(uniqueKeysWithValues: (1...Int64(count)).map { ($0, lanes.now) })
        /// Tries again what may be, and returns how much that was.
        func round(_ outcome: DeliveryOutcome) -> [Int64] {
            var sent: [Int64] = []
            while let request = lanes.schedule.nextRecall(now: lanes.now) {
                let found = due.filter { $0.value <= lanes.now }.sorted { ($0.value, $0.key) < ($1.value, $1.key) }
                    .prefix(request.limit).map(\.key)
                let writes = found.map { sequence in
                    var write = lanes.write(sequence, Int(sequence), attempts: 1, replay: .underRule)
                    write.pending.log.append(.init(startedAtMilliseconds: 0, durationMilliseconds: 1, status: 403))
                    return write
                }
                for sequence in found { due[sequence] = nil }
                let next = due.values.min()
                lanes.schedule.recalled(
                    .init(request: request, writes: writes, isExhausted: found.count < request.limit, nextDue: next),
                    now: lanes.now
                )
                while let sequence = lanes.claimSequence() {
                    sent.append(sequence)
                    if let after = lanes.finish(Int(sequence), outcome)?.attempt?.after {
                        due[sequence] = after.nextAttempt
                    }
                }
            }
            return sent
        }
        lanes.now = lanes.now + lanes.schedule.limits.holdProbeMilliseconds
        var seen: Set<Int64> = []
        for _ in 1...5 {
            let sent = round(Sample.outcome(403))
            #expect(sent.count == 10)
            #expect(seen.isDisjoint(with: sent), "the others come first")
            seen.formUnion(sent)
            lanes.now = lanes.now + (lanes.schedule.limits.holdProbeMilliseconds - 1)
            #expect(round(Sample.outcome(403)) == [])
            lanes.now = lanes.now + 1
        }
        // Once the upstream takes one, the others need not wait.
        #expect(round(Sample.outcome(200)).count >= count - seen.count)
    }

    @Test func `a write that is answered 403 after an unclear attempt is sent after what it had covered`() {
        let lanes = LaneHarness()
        let covered = lanes.accept(1, fields: ["date"])
        let covering = lanes.accept(1, fields: ["date"])
        #expect(lanes.claimSequence() == covering)
        lanes.finish(1, Sample.timeout, backoff: 10)
        lanes.now = lanes.now + 10
        #expect(lanes.claimSequence() == covering)
        let held = lanes.finish(1, Sample.outcome(403))?.attempt?.after
        #expect(held?.hold == .write && held?.isAmbiguous == true)
        #expect(lanes.claimSequence() == covered)
        #expect(lanes.finish(1, Sample.outcome(200))?.endState == .delivered)
        lanes.now = lanes.now + lanes.schedule.limits.holdProbeMilliseconds
        #expect(lanes.recall([lanes.write(covering, 1, attempts: 2, replay: .underRule, fields: ["date"])]) == .due)
        #expect(lanes.claimSequence() == covering, "the newer values come last")
    }

    @Test func `a write that comes back while a later one is under way is judged when that is delivered`() {
        for outcome in [200, 422] {
            let lanes = LaneHarness()
            let first = lanes.accept(1)
            _ = lanes.claim()
            lanes.finish(1, Sample.outcome(403))
            let second = lanes.accept(1)
            #expect(lanes.claimSequence() == second)
            lanes.now = lanes.now + lanes.schedule.limits.holdProbeMilliseconds
            #expect(lanes.recall([lanes.write(first, 1, attempts: 1, replay: .underRule)]) == .due)
            lanes.finish(1, Sample.outcome(outcome))
            if outcome == 200 {
                #expect(lanes.leaving() == [first: .queued])
                #expect(lanes.claim() == nil)
                #expect(lanes.recall([]) == .queued, "what may still be sent of it is for the replay rule to say")
            } else {
                #expect(lanes.claimSequence() == first, "what was refused has changed nothing")
            }
        }
    }

    @Test func `a write that comes back stands before later ones of its contact`() {
        let lanes = LaneHarness()
        let first = lanes.accept(1)
        _ = lanes.claim()
        lanes.finish(1, Sample.outcome(403))
        let second = lanes.accept(1)
        _ = lanes.claim()
        lanes.finish(1, Sample.outcome(500), backoff: 10)
        lanes.now = lanes.now + lanes.schedule.limits.holdProbeMilliseconds
        _ = lanes.recall([lanes.write(first, 1, attempts: 1, replay: .underRule)])
        #expect(lanes.claimSequence() == first)
        lanes.finish(1, Sample.outcome(200))
        #expect(lanes.claimSequence() == second)
    }

    @Test func `an operator stops a contact and lets it go, and order is kept`() {
        let lanes = LaneHarness()
        for _ in 1...3 { lanes.accept(1) }
        let other = lanes.accept(2)
        #expect(lanes.claimSequence() == 1)
        lanes.answer(lanes.schedule.stop(Sample.contact(1), now: lanes.now))
        #expect(lanes.leaving() == [2: .contact, 3: .contact], "what is under way is")
        lanes.finish(1, Sample.outcome(500), backoff: 1)
        #expect(lanes.leaving() == [1: .contact])
        #expect(lanes.claimSequence() == other)
        let new = lanes.accept(1)
        #expect(lanes.leaving() == [new: .contact])
        lanes.schedule.restart(Sample.contact(1))
        #expect(lanes.recall((1...4).map { lanes.write($0, 1) }) == .contact(Sample.contact(1)))
        var order: [Int64] = []
        while let sequence = lanes.claimSequence() {
            order.append(sequence)
            lanes.finish(1, Sample.outcome(200))
        }
        #expect(order == [1, 2, 3, 4])
    }

    @Test func `held writes come back into a window that is full of others`() {
        let lanes = LaneHarness { $0.maxWindowWrites = 16 }
        lanes.accept(100, key: 1)
        _ = lanes.claim()
        lanes.finish(100, Sample.outcome(403))
        for contact in 1...400 { lanes.accept(contact, key: contact) }
        lanes.read()
        #expect(lanes.schedule.windowCount == 14)
        lanes.now = lanes.now + lanes.schedule.limits.holdProbeMilliseconds
        #expect(lanes.recall([lanes.write(1, 100, attempts: 1)]) == .due)
        #expect(lanes.schedule.windowCount == 15)
    }

    @Test func `a database that was opened says what is held, and what was coming back`() {
        let lanes = LaneHarness()
        var holds = LaneSchedule.Holds()
        holds.refusedKeys = [1]
        holds.releasingKeys = [2]
        holds.releasingContacts = [Sample.contact(9)]
        lanes.schedule.rebase(newest: 9)
        lanes.schedule.restart(holds, now: lanes.now)
        var recalls: Set<LaneSchedule.Recall> = []
        for _ in 1...5 {
            if let recall = lanes.recall([]) { recalls.insert(recall) }
        }
        #expect(recalls == [.probe(1), .due, .queued, .key(2), .contact(Sample.contact(9))])
        guard let request = lanes.schedule.beginRefill() else {
            Issue.record("the window is behind")
            return
        }
        let rows = [lanes.write(5, 1, key: 1), lanes.write(6, 1, key: 2)]
        lanes.schedule.refill(.init(writes: rows), for: request, now: lanes.now)
        #expect(lanes.claimSequence() == 5, "the key has no held write to probe with: this one does")
    }

    @Test func `a write that was let go before a restart is judged again, as a later one may have been delivered`()
        throws
    {
        let lanes = LaneHarness()
        lanes.schedule.rebase(newest: 3)
        lanes.schedule.restart(LaneSchedule.Holds(), now: lanes.now)
        let begun = lanes.schedule.beginRefill()
        let rows = [lanes.write(1, 1, replay: .underRule), lanes.write(2, 1), lanes.write(3, 2, replay: .forced)]
        lanes.schedule.refill(.init(writes: rows), for: try #require(begun), now: lanes.now)
        #expect(lanes.leaving() == [1: .queued])
        #expect(Set([lanes.claimSequence(), lanes.claimSequence()]) == [2, 3])
        var recalls: Set<LaneSchedule.Recall> = []
        for _ in 1...2 {
            if let recall = lanes.recall([]) { recalls.insert(recall) }
        }
        #expect(recalls == [.due, .queued])
    }

    // MARK: - Operators

    @Test func `a write that an operator ends is in no lane any more, and no read brings it back`() throws {
        let lanes = LaneHarness { $0.maxWindowWrites = 16 }
        for contact in 1...4 { lanes.accept(contact) }
        #expect(lanes.schedule.windowCount == 2)
        #expect(lanes.claimSequence() == 1)
        #expect(!lanes.withdraw(1, 1), "it is under way")
        #expect(lanes.withdraw(2, 2))
        let begun = lanes.schedule.beginRefill()
        let request = try #require(begun)
        #expect(lanes.withdraw(4, 4))
        lanes.schedule.withdrawalsDone()
        let rows = (2...4).map { lanes.write(Int64($0), $0) }
        lanes.schedule.refill(.init(writes: rows), for: request, now: lanes.now)
        #expect(lanes.claimSequence() == 3)
        #expect(lanes.claim() == nil)
        #expect(lanes.schedule.withdrawn.isEmpty)
    }

    @Test func `a key that is replaced goes on with the new one, and what was held comes back`() {
        let lanes = LaneHarness()
        lanes.accept(1, key: 1)
        let waiting = lanes.accept(2, key: 1)
        _ = lanes.claim()
        lanes.schedule.replace(key: 1, by: Sample.key(2), row: 2, now: lanes.now)
        guard case .attempt(let write) = lanes.claim() else {
            Issue.record("it goes on")
            return
        }
        #expect(write.pending.sequence == waiting && write.keyRow == 2 && write.key.secret == Sample.key(2).secret)
        #expect(lanes.recall([]) == .key(2))
    }

    @Test(arguments: [401, 403, 429])
    func `what an attempt with a key says of it says nothing of the key that has replaced it meanwhile`(_ status: Int) {
        let lanes = LaneHarness()
        let write = lanes.accept(1, key: 1)
        let other = lanes.accept(2, key: 2)
        #expect(lanes.claimSequence() == write)
        lanes.schedule.replace(key: 1, by: Sample.key(2), row: 2, now: lanes.now)
        let attempt = lanes.finish(1, Sample.outcome(status, retryAfter: 60_000), backoff: 60_000)?.attempt
        #expect(attempt?.after.hold == WriteHold.none && attempt?.refusedKey == nil)
        #expect(lanes.schedule.heldKeys.isEmpty && lanes.schedule.pausedKeys.isEmpty)
        #expect(Set([lanes.claimSequence(), lanes.claimSequence()]) == [write, other], "at once, with the new key")
        #expect(lanes.finish(1, Sample.outcome(401))?.attempt?.refusedKey == 2)
    }

    @Test func `a contact that is stopped or let go while memory is to be loaded again stays so`() {
        let lanes = LaneHarness()
        for contact in 1...3 { lanes.accept(contact) }
        _ = lanes.claim()
        lanes.answer(lanes.schedule.suspend())
        lanes.answer(lanes.schedule.stop(Sample.contact(2), now: lanes.now))
        lanes.schedule.restart(Sample.contact(3))
        #expect(lanes.leaving() == [:], "what memory has is not what the database has")
        var holds = LaneSchedule.Holds()
        holds.stoppedContacts = [Sample.contact(3)]
        lanes.schedule.rebase(newest: 3)
        lanes.schedule.restart(holds, now: lanes.now)
        lanes.read()
        #expect(lanes.leaving() == [2: .contact, 3: .contact], "it may have held writes that come first")
        #expect(lanes.claimSequence() == 1 && lanes.claim() == nil)
        var recalls: Set<LaneSchedule.Recall> = []
        while let recall = lanes.recall([]) { recalls.insert(recall) }
        #expect(recalls.contains(.contact(Sample.contact(3))))
        #expect(!recalls.contains(.contact(Sample.contact(2))))
    }

    @Test func `a recall whose result is of no use does not keep others from coming back`() {
        let lanes = LaneHarness()
        lanes.schedule.queuedWritesAdded()
        #expect(lanes.schedule.nextRecall(now: lanes.now) != nil)
        #expect(lanes.schedule.nextRecall(now: lanes.now) == nil)
        lanes.schedule.recallFailed()
        #expect(lanes.recall([]) == .queued)
    }

    @Test func `new writes do not take the room of a probe that is on its way`() throws {
        // Room for one new write, one that comes back, and two of the backlog.
        let lanes = LaneHarness { $0.maxWindowWrites = 4 }
        lanes.accept(1, key: 1)
        _ = lanes.claim()
        lanes.finish(1, Sample.outcome(401))
        var probe = lanes.write(1, 1, attempts: 1, replay: .underRule)
        probe.predecessor = .first
        lanes.schedule.queuedWritesAdded()
        #expect(lanes.recall([lanes.write(100, 2, key: 2, nextAttempt: lanes.now + 3_600_000)]) == .queued)
        lanes.append([(contact: 3, key: 3), (contact: 4, key: 4)])
        lanes.read()
        #expect(lanes.schedule.windowCount == 3)
        lanes.now = lanes.now + lanes.schedule.limits.holdProbeMilliseconds
        let next = lanes.schedule.nextRecall(now: lanes.now)
        let request = try #require(next)
        #expect(request.recall == .probe(1))
        lanes.accept(5, key: 5)
        lanes.schedule.recalled(.init(request: request, writes: [probe], isExhausted: false), now: lanes.now)
        #expect(lanes.schedule.heldKeys[1]?.probe == 1)
        #expect(lanes.schedule.windowCount == 4)
    }
}
