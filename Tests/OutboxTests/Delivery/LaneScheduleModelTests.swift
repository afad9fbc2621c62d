import DexatelAPI
import HeapModule
import NIOCore
import TestSupport
import Testing

@testable import Outbox

/// The schedule against a model of everything around it: database, commit thread, upstream and clock, in random
/// interleavings.
@Suite struct LaneScheduleModelTests {
    @Test(arguments: 1...24)
    func `whatever happens in whatever order, the promises hold`(_ seed: Int) throws {
        var model = LaneScheduleModel(seed: UInt64(seed))
        for _ in 0..<5_000 {
            try model.step()
        }
        try model.drainHealthy()
        try model.drain()
        #expect(model.accepted > 200, "seed \(seed)")
        #expect(model.answered == model.waitersIssued, "seed \(seed)")
        #expect(model.kindsSeen.count >= 14, "seed \(seed) saw only \(model.kindsSeen.sorted())")
    }
}

/// What the model saw go wrong.
struct ModelViolation: Error, CustomStringConvertible {
    let description: String
}

/// A random world around one schedule; keeps its own books and checks every decision against them.
struct LaneScheduleModel {
    /// A write as the database has it.
    private struct Row {
        var write: LaneSchedule.Write
        var hasWaiter = false
        var wasAcknowledged = false
    }

    private let seed: UInt64
    private var random: SeededGenerator
    private var schedule: LaneSchedule
    private var now: RelayTime = 1_000_000
    private let sink = CollectingSink()

    /// Pending rows that are committed, by sequence.
    private var rows: [Int64: Row] = [:]
    private var nextSequence: Int64 = 1
    /// Attempts under way: contact to sequence.
    private var underWay: [ContactReference: Int64] = [:]
    /// What waits for the commit thread, in order.
    private enum Work {
        case record(LaneSchedule.Ended.Record)
        case hold(HoldRecord)
        case recall(LaneSchedule.RecallRequest)
    }
    private var inbox: [Work] = []
    /// A read of the backlog whose answer is on its way.
    private var reading: (request: LaneSchedule.RefillRequest, refilled: LaneSchedule.Refilled)?
    /// What was delivered to each contact.
    private var deliveries: [ContactReference: ContactOrder] = [:]
    private var stopped: Set<ContactReference> = []
    private var journal: [ContactReference: [String]] = [:]
    /// How many writes have ended, by state.
    private var ended: [WriteState: Int] = [:]
    private var isSuspended = false
    private var restartsWhenIdle = false
    private var lastProbe: [Int64: RelayTime] = [:]
    private var heldRows: Set<Int64> = []
    /// Writes whose senders wait, or waited.
    private var waiters: Set<Int64> = []
    private var isCalm = false
    private var isPoisoned = false
    /// Claims so far, and how many there were when each lane became ready.
    private var claims = 0
    private var readySince: [ContactReference: Int] = [:]

    private var steps = 0
    private(set) var accepted = 0
    private(set) var waitersIssued = 0
    private(set) var kindsSeen: Set<String> = []
    private static let contacts = 24
    private static let keys = 4
    private static let knownKeys = (0..<keys).map(Sample.key)

    init(seed: UInt64) {
        self.seed = seed
        random = SeededGenerator(seed: seed)
        var limits = LaneSchedule.Limits()
        limits.maxWindowWrites = [8, 16, 64][Int(seed % 3)]
        limits.maxWindowPayloadBytes = 64
        limits.maxWaiting = 6
        limits.maxInFlight = 4
        limits.maxAgeMilliseconds = 3_600_000
        limits.notFoundGraceMilliseconds = 5_000
        limits.holdProbeMilliseconds = 20_000
        limits.settleMilliseconds = seed % 2 == 0 ? 0 : 300
        limits.maxRetryAfterMilliseconds = 10_000
        limits.putSemantics = [.unknown, .merge, .replace][Int(seed / 2 % 3)]
        limits.maxCovered = 4
        schedule = LaneSchedule(limits: limits)
    }

    var answered: Int { sink.count }

    private func violation(_ what: String, about contact: ContactReference? = nil) -> ModelViolation {
        let past = contact.flatMap { journal[$0] } ?? []
        return ModelViolation(description: "seed \(seed): \(what)" + past.map { "\n    \($0)" }.joined())
    }

    /// Keeps the last things that happened to a contact, for who has to find out why.
    private mutating func note(_ contact: ContactReference, _ what: String) {
        journal[contact, default: []].append("\(now.milliseconds) \(what)")
        if journal[contact]?.count ?? 0 > 60 { journal[contact]?.removeFirst(20) }
    }

    // MARK: - Steps

    mutating func step() throws {
        if isSuspended, Int.random(in: 0..<8, using: &random) == 0 { reopen() }
        switch Int.random(in: 0..<210, using: &random) {
        case ..<40: accept()
        case ..<90: try claim()
        case ..<130: try endAttempt()
        case ..<165: try commitWork()
        case ..<180: advance(Int64.random(in: 0...400, using: &random))
        case ..<185: beginRefill()
        case ..<190: endRefill()
        case ..<195: advance(Int64.random(in: 0...30_000, using: &random))
        case ..<196: advance(Int64.random(in: 0...600_000, using: &random))
        case ..<197: schedule.upstreamRecovered()
        case ..<198: try failCommit()
        case ..<203: recall()
        case ..<205: try operate()
        case ..<206: expire()
        default: try claimUntilNone()
        }
        takeLeaving()
        steps += 1
        try check()
    }

    /// A key is paused again and again, and a contact answers 500, from now on: all that has nothing to do with them ends.
    mutating func drainHealthy() throws {
        isPoisoned = true
        // In a smaller one a single write can be all that a key has room for.
        schedule.limits.maxWindowWrites = 128
        defer { isPoisoned = false }
        var rounds = 0
        while let sequence = healthyWrite {
            rounds += 1
            guard rounds < 6_000 else {
                throw violation(
                    "\(sequence) \(rows[sequence]!.write.pending.hold) of \(rows[sequence]!.write.keyRow) is starved: \(outside)",
                    about: rows[sequence]?.write.pending.contact
                )
            }
            try drainRound()
        }
    }

    private var healthyWrite: Int64? {
        let poisoned = Set(rows.values.filter { $0.write.keyRow == 0 }.map(\.write.pending.contact))
        return rows.filter { _, row in
            let contact = row.write.pending.contact
            // A key that is held is so until its probe gets through, which may be a write to that contact.
            return !poisoned.contains(contact) && contact != Sample.contact(0) && !heldRows.contains(row.write.keyRow)
        }.keys.min()
    }

    /// What of the schedule tells why a write does not come up.
    private var outside: String {
        "behind \(schedule.behind), read \(schedule.cursor) of \(schedule.newest), \(schedule.cutLanes.count) cut, "
            + "held \(schedule.heldKeys), recalls \(schedule.recalls), returning \(schedule.returning), \(schedule.shares)"
    }

    /// Everything is well from now on: whatever was accepted must end.
    mutating func drain() throws {
        isCalm = true
        var rounds = 0
        while !rows.isEmpty || isSuspended {
            rounds += 1
            guard rounds < 60_000 else {
                let oldest = rows.min { $0.key < $1.key }?.value.write.pending
                throw violation("\(rows.count) writes never end: \(outside)", about: oldest?.contact)
            }
            try drainRound()
        }
        // Reads find out that there is nothing more of a contact.
        for _ in 0..<50 where !schedule.lanes.isEmpty || !schedule.isComplete { try drainRound() }
        guard schedule.windowCount == 0, schedule.lanes.isEmpty, schedule.isComplete, schedule.inFlight.isEmpty,
            schedule.waitingCount == 0,
            schedule.departing.isEmpty, schedule.strays.isEmpty
        else {
            throw violation("the schedule still holds something when everything has ended: \(outside)")
        }
        for (token, answers) in sink.all where answers.count != 1 {
            throw violation("the write \(token) was answered \(answers.count) times")
        }
    }

    private mutating func drainRound() throws {
        if isSuspended { reopen() }
        // An operator sees to what is overtaken, and lets every contact go.
        for contact in stopped { restart(contact) }
        forceOvertaken()
        beginRefill()
        endRefill()
        recall()
        takeLeaving()
        try claimUntilNone()
        while !underWay.isEmpty { try endAttempt() }
        while !inbox.isEmpty, !isSuspended { try commitWork() }
        try check()
        advance(200)
    }

    private mutating func takeLeaving() {
        for hold in schedule.takeLeaving() {
            note(hold.write.contact, "leaves \(hold.write.sequence) \(hold.hold)")
            inbox.append(.hold(hold))
        }
    }

    private mutating func advance(_ milliseconds: Int64) {
        now = now + milliseconds
        take(schedule.expireWaits(now: now))
    }

    private mutating func accept() {
        // Several windows full are enough of a backlog.
        guard rows.count < 200 else { return }
        var batch: [LaneSchedule.Write] = []
        for _ in 0..<Int.random(in: 1...4, using: &random) {
            // A few contacts are busy.
            let number = Int.random(in: 0..<Self.contacts, using: &random)
            let contact = Sample.contact(Bool.random(using: &random) ? number % 4 : number)
            let key = Int.random(in: 0..<Self.keys, using: &random)
            var waiter: LaneSchedule.Waiter?
            if Bool.random(using: &random) {
                let wait = Int64.random(in: 0...2_000, using: &random)
                waiter = LaneSchedule.Waiter(sink: sink, token: UInt64(nextSequence), deadline: now + wait)
                waitersIssued += 1
                waiters.insert(nextSequence)
            }
            var write = LaneSchedule.Write(
                pending: PendingWrite(
                    id: WriteID(sequence: nextSequence, nonce: 0),
                    contact: contact,
                    keyRow: Int64(key),
                    method: Int.random(in: 0..<4, using: &random) == 0 ? .delete : .put,
                    storedBytes: 10,
                    acceptedClock: now,
                    fields: nil
                ),
                key: Self.knownKeys[key],
                payload: Sample.payload(String(repeating: "x", count: Int.random(in: 0...30, using: &random))),
                waiter: waiter
            )
            write.pending.fields = randomFields(write.pending.method)
            rows[nextSequence] = Row(write: write, hasWaiter: waiter != nil, wasAcknowledged: waiter == nil)
            nextSequence += 1
            accepted += 1
            note(contact, "accepted \(write.pending.sequence) key \(key) \(write.pending.method)")
            batch.append(write)
        }
        // As the commit thread does: it asks, then reads, then tells; in between reads may end.
        let isNeeded = batch.map { schedule.needsPredecessor($0.pending.contact) }
        for index in batch.indices where isNeeded[index] {
            batch[index].predecessor = table.predecessor(
                of: batch[index].pending.sequence,
                batch[index].pending.contact
            )
        }
        if random.chance(oneIn: 4) { endRefill() }
        take(schedule.accept(batch, isUpstreamHealthy: Int.random(in: 0..<5, using: &random) > 0, now: now))
    }

    private mutating func randomFields(_ method: WriteMethod) -> FieldSet? {
        if method == .delete { return .empty }
        if random.chance(oneIn: 10) { return nil }
        return FieldSet(names: ["first_name", "date", "tags"].filter { _ in Bool.random(using: &random) })
    }

    private mutating func beginRefill() {
        guard reading == nil, let request = schedule.beginRefill() else { return }
        switch request.source {
        case .backlog: kindsSeen.insert("backlog read")
        case .key: kindsSeen.insert("key read")
        case .lanes: kindsSeen.insert("lanes read")
        }
        // Sometimes the read has looked at its fill of rows before the end.
        reading = (request, table.read(request, limit: Bool.random(using: &random) ? 1 + request.limit / 2 : .max))
    }

    private var table: PendingTable { PendingTable(rows.values.map(\.write)) }

    private mutating func endRefill() {
        guard let (request, refilled) = reading else { return }
        reading = nil
        for write in refilled.writes {
            note(write.pending.contact, "read \(write.pending.sequence) \(write.predecessor) for \(request.source)")
        }
        schedule.refill(refilled, for: request, now: now)
    }

    private mutating func expire() {
        for end in schedule.expire(now: now) {
            kindsSeen.insert("swept")
            inbox.append(.record(.end(end)))
        }
    }

    // MARK: - Holds and operators

    private mutating func recall() {
        guard let request = schedule.nextRecall(now: now) else { return }
        inbox.append(.recall(request))
    }

    /// What the commit thread brings back, by the replay rule.
    private mutating func bring(_ request: LaneSchedule.RecallRequest) -> LaneSchedule.Recalled {
        let held = rows.values.map(\.write.pending).sorted { $0.sequence < $1.sequence }
        let found: [PendingWrite]
        switch request.recall {
        case .probe(let key):
            kindsSeen.insert("probe asked for")
            found = held.filter { $0.hold == .key && $0.keyRow == key }
        case .key(let key):
            kindsSeen.insert("key released")
            found = held.filter { ($0.hold == .key || $0.hold == .write) && $0.keyRow == key }
        case .contact(let contact):
            kindsSeen.insert("contact released")
            found = held.filter { $0.hold == .contact && $0.contact == contact }
        case .due: found = held.filter { $0.hold == .write && ($0.nextAttempt ?? now) <= now }
        case .queued: found = held.filter { $0.hold == .queued }
        }
        let probeCandidates = 4
        let isProbe = if case .probe = request.recall { true } else { false }
        var writes: [LaneSchedule.Write] = []
        for pending in found.prefix(isProbe ? probeCandidates : request.limit) {
            if isProbe, !writes.isEmpty { break }
            if let write = release(pending.sequence) { writes.append(write) }
        }
        let due = rows.values.compactMap { $0.write.pending.hold == .write ? $0.write.pending.nextAttempt : nil }.min()
        let table = table
        writes = writes.map { write in
            var write = write
            write.predecessor = table.predecessor(of: write.pending.sequence, write.pending.contact)
            return write
        }
        return .init(
            request: request,
            writes: writes,
            isExhausted: found.count < (isProbe ? probeCandidates : request.limit),
            nextDue: due
        )
    }

    private mutating func release(_ sequence: Int64) -> LaneSchedule.Write? {
        guard var write = rows[sequence]?.write else { return nil }
        (write.payload, write.waiter) = (nil, nil)
        if write.pending.replay == .underRule, let order = deliveries[write.pending.contact], order.last > sequence {
            let names = write.pending.fields?.names ?? []
            guard schedule.limits.putSemantics == .merge, write.pending.method == .put, order.whole <= sequence,
                write.pending.fields != nil
            else {
                kindsSeen.insert("overtaken")
                rows[sequence]?.write.pending.hold = .overtaken
                return nil
            }
            let kept = names.filter { !order.wasSet($0, after: sequence) }
            if kept.isEmpty, !names.isEmpty {
                kindsSeen.insert("nothing left")
                remove(sequence, as: .superseded)
                return nil
            }
            write.pending.fields = FieldSet(names: kept)
        }
        note(write.pending.contact, "released \(sequence) \(write.pending.hold)")
        write.pending.hold = .none
        write.pending.nextAttempt = nil
        rows[sequence]?.write.pending = write.pending
        kindsSeen.insert("released")
        return write
    }

    private mutating func operate() throws {
        guard !isSuspended else { return }
        let contact = Sample.contact(Int.random(in: 0..<4, using: &random))
        switch Int.random(in: 0..<4, using: &random) {
        case 3: forceOvertaken()
        case 0:
            kindsSeen.insert("stopped")
            stopped.insert(contact)
            note(contact, "stopped")
            take(schedule.stop(contact, now: now))
        case 1: restart(contact)
        default: discard()
        }
    }

    private mutating func restart(_ contact: ContactReference) {
        guard !isSuspended, stopped.remove(contact) != nil else { return }
        note(contact, "let go")
        schedule.restart(contact)
    }

    private mutating func forceOvertaken() {
        for (sequence, row) in rows where row.write.pending.hold == .overtaken {
            rows[sequence]?.write.pending.hold = .queued
            rows[sequence]?.write.pending.replay = .forced
            schedule.queuedWritesAdded()
            kindsSeen.insert("forced")
        }
    }

    private mutating func discard() {
        guard let sequence = rows.keys.sorted().randomElement(using: &random), let row = rows[sequence] else { return }
        let write = row.write.pending
        if write.hold == .none {
            let (isWithdrawn, answer) = schedule.withdraw(sequence, of: write.contact, now: now)
            take([answer].compactMap { $0 })
            guard isWithdrawn else { return schedule.withdrawalsDone() }
            kindsSeen.insert("discarded")
        }
        remove(sequence, as: .discarded)
        schedule.withdrawalsDone()
    }

    private mutating func remove(_ sequence: Int64, as state: WriteState) {
        guard rows.removeValue(forKey: sequence) != nil else { return }
        ended[state, default: 0] += 1
    }

    // MARK: - Claims

    private mutating func claimUntilNone() throws {
        while try claim() {}
    }

    @discardableResult
    private mutating func claim() throws -> Bool {
        guard let contact = schedule.nextReady(now: now) else {
            // Nothing is ready only if nothing could be.
            if !isSuspended, underWay.count < schedule.limits.maxInFlight, schedule.upstreamPausedUntil == nil,
                (schedule.readyFresh.all + schedule.readyBacklog.all).contains(where: schedule.isDue)
            {
                throw violation("a ready lane is passed over")
            }
            return false
        }
        // Each lane is in one of two queues once, and the queues take turns, and the keys in each.
        if let since = readySince.removeValue(forKey: contact), claims - since > 2 * Self.keys * Self.contacts {
            throw violation("a ready lane has waited for \(claims - since) claims")
        }
        claims += 1
        switch schedule.claim(contact, now: now) {
        case nil: throw violation("what is next cannot be claimed")
        case .expired(let end):
            kindsSeen.insert("expired")
            try checkIsNext(end.write, contact)
            inbox.append(.record(.end(end)))
        case .attempt(let write):
            try checkIsNext(write.pending, contact)
            try checkReplay(write.pending)
            guard underWay[contact] == nil else { throw violation("two attempts at once for \(contact)") }
            let key = write.keyRow
            if stopped.contains(contact) { throw violation("a write of a stopped contact is sent") }
            if heldRows.contains(key) {
                kindsSeen.insert("probe")
                if let last = lastProbe[key], now - last < schedule.limits.holdProbeMilliseconds {
                    throw violation("a second probe of a held key after \(now - last) ms")
                }
                lastProbe[key] = now
            }
            underWay[contact] = write.pending.id.sequence
            note(contact, "claimed \(write.pending.sequence)")
            guard underWay.count <= schedule.limits.maxInFlight else { throw violation("too many under way") }
        }
        return true
    }

    /// Whatever of the contact is not held and older than a claimed write is covered by it, and everything before it is
    /// confirmed.
    private mutating func checkIsNext(_ write: PendingWrite, _ contact: ContactReference) throws {
        guard !isSuspended else { throw violation("a claim while suspended") }
        for (sequence, row) in rows where row.write.pending.contact == contact && sequence < write.sequence {
            let older = row.write.pending
            guard older.hold == .none, !isLeaving(sequence) else { continue }
            kindsSeen.insert("covered")
            guard older.method == .put, older.keyRow == write.keyRow, !older.isAmbiguous,
                row.wasAcknowledged || !row.hasWaiter, let fields = write.fields,
                write.method == .delete
                    || older.fields.map({ schedule.limits.putSemantics == .replace || fields.isSuperset(of: $0) })
                        ?? false
            else {
                throw violation(
                    "\(write.sequence) is claimed before \(sequence), which it does not cover",
                    about: contact
                )
            }
        }
        if hasRecord(contact) {
            throw violation("\(write.sequence) is claimed before the last outcome is durable")
        }
    }

    private func isLeaving(_ sequence: Int64) -> Bool {
        schedule.leaving.contains { $0.write.sequence == sequence }
            || inbox.contains { if case .hold(let hold) = $0 { hold.write.sequence == sequence } else { false } }
    }

    private func hasRecord(_ contact: ContactReference) -> Bool {
        inbox.contains { Self.contact(of: $0) == contact }
    }

    /// Nothing that was delivered later is undone by what is sent now.
    private func checkReplay(_ write: PendingWrite) throws {
        guard write.replay != .forced, let order = deliveries[write.contact], order.last > write.sequence else {
            return
        }
        let names = write.fields?.names ?? []
        guard schedule.limits.putSemantics == .merge, write.method == .put, order.whole <= write.sequence,
            !names.contains(where: { order.wasSet($0, after: write.sequence) })
        else { throw violation("\(write.sequence) is sent after \(order)", about: write.contact) }
    }

    private static func contact(of work: Work) -> ContactReference? {
        switch work {
        case .record(.attempt(let attempt)): attempt.contact
        case .record(.end(let end)): end.contact
        case .hold, .recall: nil
        }
    }

    // MARK: - Outcomes

    private mutating func randomOutcome() -> (kind: String, outcome: DeliveryOutcome) {
        if isCalm { return ("200", Sample.outcome(200)) }
        let retryAfter: Int64? = Bool.random(using: &random) ? Int64.random(in: 0...20_000, using: &random) : nil
        switch Int.random(in: 0..<60, using: &random) {
        case 0: return ("400", Sample.outcome(400))
        case 1: return ("401", Sample.outcome(401))
        case 2: return ("403", Sample.outcome(403))
        case 3: return ("404 own", Sample.outcome(404, Sample.contactNotFound))
        case 4: return ("404 foreign", Sample.outcome(404, "<html/>"))
        case 5: return ("429", Sample.outcome(429, retryAfter: retryAfter))
        case 6: return ("503", Sample.outcome(503, retryAfter: retryAfter))
        case 7: return ("timeout", Sample.timeout)
        case 8: return ("unreachable", Sample.unreachable)
        case 9: return ("302", Sample.outcome(302))
        default: return ("200", Sample.outcome(200))
        }
    }

    private func poisonedOutcome(_ sequence: Int64) -> (kind: String, outcome: DeliveryOutcome) {
        guard let write = rows[sequence]?.write else { return ("200", Sample.outcome(200)) }
        if write.keyRow == 0 { return ("429", Sample.outcome(429, retryAfter: 10_000)) }
        return write.pending.contact == Sample.contact(0) ? ("500", Sample.outcome(500)) : ("200", Sample.outcome(200))
    }

    private mutating func endAttempt() throws {
        guard let contact = underWay.keys.sorted(by: { $0.contact < $1.contact }).randomElement(using: &random),
            let sequence = underWay.removeValue(forKey: contact)
        else { return }
        let (kind, outcome) = isPoisoned ? poisonedOutcome(sequence) : randomOutcome()
        kindsSeen.insert(kind)
        let backoff = Int64.random(in: 0...1_000, using: &random)
        let ended = schedule.attemptEnded(contact, outcome, now: now, backoffMilliseconds: { _ in backoff })
        if schedule.inFlight.contains(sequence) { throw violation("an attempt that has ended is still under way") }
        guard let ended else {
            guard isSuspended else { throw violation("an outcome is ignored") }
            restartIfIdle()
            return
        }
        guard !isSuspended else { throw violation("an outcome is recorded while suspended") }
        try checkMeaning(ended.record, sequence, kind)
        take(ended.answers)
        takeLeaving()
        if case .attempt = ended.record, let row = rows[sequence], row.hasWaiter, !row.wasAcknowledged {
            throw violation("the sender of \(sequence) still waits after a retryable outcome")
        }
        inbox.append(.record(ended.record))
    }

    /// What is recorded fits the outcome, and who had its 202 when it came.
    private mutating func checkMeaning(_ record: LaneSchedule.Ended.Record, _ sequence: Int64, _ kind: String) throws {
        guard let row = rows[sequence] else { throw violation("an outcome for a write that has ended") }
        let key = row.write.pending.keyRow
        switch record {
        case .attempt(let attempt):
            guard attempt.sequence == sequence, attempt.after.attempts == row.write.pending.attempts + 1 else {
                throw violation("\(attempt) does not follow \(row.write.pending)")
            }
            if kind == "200" || kind == "400" { throw violation("a \(kind) is tried again") }
            if kind == "401" {
                heldRows.insert(key)
                lastProbe[key] = now
            }
        case .end(let end):
            guard end.sequence == sequence else { throw violation("the end of another write") }
            switch end.state {
            case .delivered:
                heldRows.remove(key)
                guard kind == "200" || kind.hasPrefix("404") && row.write.pending.method == .delete else {
                    throw violation("a \(kind) counts as delivered")
                }
            case .rejected:
                if row.wasAcknowledged { throw violation("an acknowledged write is rejected") }
            case .dead:
                if !row.wasAcknowledged { throw violation("a write dies whose sender was not told 202") }
            default: throw violation("a write ends as \(end.state)")
            }
        }
    }

    // MARK: - Commits

    private mutating func commitWork() throws {
        guard !inbox.isEmpty, !isSuspended else { return }
        let work = inbox
        inbox = []
        // Ends are told before attempts, and recalls after all that was there before them, as the commit thread does.
        for case .hold(let hold) in work { try keep(hold) }
        for case .record(let record) in work { try keep(record) }
        for case .record(.end(let end)) in work { try tell(end) }
        schedule.holdsRecorded(work.compactMap { if case .hold(let hold) = $0 { hold } else { nil } })
        for case .record(.attempt(let attempt)) in work { schedule.attemptRecorded(attempt.contact, now: now) }
        takeLeaving()
        for case .recall(let request) in work {
            let recalled = bring(request)
            schedule.recalled(recalled, now: now)
            takeLeaving()
        }
        let inAll = rows.count + ended.values.reduce(0, +)
        guard inAll == accepted else { throw violation("\(accepted) accepted, \(inAll) counted") }
    }

    private mutating func keep(_ hold: HoldRecord) throws {
        guard let row = rows[hold.write.sequence], row.write.pending.hold == .none else {
            throw violation("\(hold) is held, but is not there to be held")
        }
        kindsSeen.insert("held \(hold.hold)")
        if hold.hold == .queued { rows[hold.write.sequence]?.write.pending.nextAttempt = nil }
        note(hold.write.contact, "held \(hold.write.sequence) \(hold.hold)")
        rows[hold.write.sequence]?.write.pending.hold = hold.hold
        if hold.hold != .contact {
            rows[hold.write.sequence]?.write.pending.replay = max(row.write.pending.replay, .underRule)
        }
    }

    private mutating func keep(_ record: LaneSchedule.Ended.Record) throws {
        switch record {
        case .attempt(let attempt):
            guard let row = rows[attempt.sequence], row.write.pending == attempt.before else {
                throw violation("an attempt of a write that is not as it was: \(attempt)")
            }
            note(attempt.contact, "attempt \(attempt.sequence) \(attempt.after.hold)")
            rows[attempt.sequence]?.write.pending = attempt.after
        case .end(let end):
            guard rows[end.sequence] != nil else { throw violation("a second end") }
            note(end.contact, "ended \(end.sequence) \(end.state) covering \(end.covered.map(\.sequence))")
            remove(end.sequence, as: end.state)
            for covered in end.covered {
                guard end.state == .delivered, rows[covered.sequence]?.write.pending == covered else {
                    throw violation("\(covered) is covered and is not as it was")
                }
                kindsSeen.insert("superseded")
                remove(covered.sequence, as: .superseded)
            }
            if end.state == .delivered {
                deliveries[end.contact, default: ContactOrder()]
                    .delivered(end.sequence, end.write.method, end.write.fields)
            }
        }
    }

    private mutating func tell(_ end: EndRecord) throws {
        let sequence = end.sequence
        if let answer = schedule.endRecorded(end.contact, now: now) {
            guard waiters.contains(sequence) else { throw violation("an answer for nobody") }
            if case .replied = answer.answer, sink.answers(to: UInt64(sequence)).count > 0 {
                throw violation("a reply after a 202")
            }
            take([answer])
        }
        if waiters.contains(sequence), sink.answers(to: UInt64(sequence)).count != 1 {
            throw violation("\(sequence) has ended and its sender was not answered once")
        }
    }

    /// The commit fails: what was in it may or may not be there; nobody may be left waiting.
    private mutating func failCommit() throws {
        guard !isSuspended else { return }
        kindsSeen.insert("failed commit")
        for contact in journal.keys { note(contact, "commit failed") }
        isSuspended = true
        reading = nil
        if Bool.random(using: &random) {
            // It is on disk all the same.
            for case .hold(let hold) in inbox { try keep(hold) }
            for case .record(let record) in inbox { try keep(record) }
            for case .recall(let request) in inbox { _ = bring(request) }
        }
        inbox = []
        take(schedule.suspend())
        guard schedule.waitingCount == 0, sink.count == waitersIssued else {
            throw violation("somebody is left waiting after a failed commit")
        }
    }

    private mutating func reopen() {
        guard !restartsWhenIdle else { return restartIfIdle() }
        schedule.rebase(newest: nextSequence - 1)
        restartsWhenIdle = true
        restartIfIdle()
    }

    private mutating func restartIfIdle() {
        guard restartsWhenIdle, schedule.inFlight.isEmpty else { return }
        restartsWhenIdle = false
        isSuspended = false
        inbox = []
        var holds = LaneSchedule.Holds()
        holds.refusedKeys = heldRows
        let pending = rows.values.map(\.write.pending)
        holds.releasingKeys = Set(pending.filter { $0.hold == .key }.map(\.keyRow)).subtracting(heldRows)
        holds.stoppedContacts = stopped
        holds.releasingContacts = Set(pending.filter { $0.hold == .contact }.map(\.contact)).subtracting(stopped)
        schedule.restart(holds, now: now)
        // What was paused is forgotten with the rest: each held key may be probed at once.
        lastProbe = [:]
    }

    // MARK: - Answers and bounds

    private mutating func take(_ answers: [LaneSchedule.Answer]) {
        for answer in answers {
            sink.take([(answer.waiter.token, answer.answer)])
            rows[Int64(answer.waiter.token)]?.wasAcknowledged = true
        }
    }

    private mutating func check() throws {
        guard schedule.windowCount <= schedule.limits.maxWindowWrites else {
            throw violation("the window overflows: \(schedule.windowCount)")
        }
        guard schedule.windowCount == schedule.lanes.values.reduce(0, { $0 + $1.writes.count }) else {
            throw violation("the window is miscounted")
        }
        guard schedule.waitingCount <= schedule.limits.maxWaiting else { throw violation("too many wait") }
        guard schedule.inFlight == Set(underWay.values) else { throw violation("what is under way is miscounted") }
        let waiting = schedule.lanes.values.flatMap(\.writes).filter { $0.waiter != nil }.count
        guard waiting == schedule.waitingCount else { throw violation("\(waiting) wait, not \(schedule.waitingCount)") }
        guard sink.count + waiting == waitersIssued else {
            throw violation("\(waitersIssued) senders, \(sink.count) answers, \(waiting) waiting")
        }
        let payloads = schedule.lanes.values.flatMap(\.writes).compactMap(\.payload)
        let payloadBytes = payloads.reduce(0) { $0 + $1.body.readableBytes }
        let backlog = schedule.lanes.values.filter { $0.phase == .ready && $0.isReadyBacklog }.count
        guard backlog == schedule.readyBacklogCount else { throw violation("the ready backlog is miscounted") }
        if steps % 16 == 0 { try checkShares() }
        guard payloadBytes <= schedule.limits.maxWindowPayloadBytes else { throw violation("too many payload bytes") }
        try checkLanes()
        if !isSuspended, steps % 2 == 0 || isCalm { try checkOutside() }
        for (contact, lane) in schedule.lanes where lane.phase == .ready && readySince[contact] == nil {
            readySince[contact] = claims
        }
        readySince = readySince.filter { schedule.lanes[$0.key]?.phase == .ready }
    }

    private func checkShares() throws {
        for part in LaneSchedule.WindowPart.allCases {
            let writes = schedule.lanes.values.flatMap(\.writes).filter { $0.part == part }
            let share = schedule.shares[part.rawValue]
            guard share.count == writes.count,
                share.byKey == Dictionary(grouping: writes, by: \.keyRow).mapValues(\.count)
            else { throw violation("the share \(part) is miscounted: \(share)") }
        }
    }

    /// What is not in memory will be read: it is behind the cursor, or of a lane that is cut, or its contact begins with
    /// a write of a key that was passed over.
    private func checkOutside() throws {
        var heads: [ContactReference: PendingWrite] = [:]
        let outside = rows.filter { sequence, row in
            row.write.pending.hold == .none && schedule.departing[sequence] == nil
                && !schedule.has(sequence, of: row.write.pending.contact)
        }
        for (sequence, row) in outside.sorted(by: { $0.key < $1.key }) {
            let contact = row.write.pending.contact
            let head = heads[contact, default: row.write.pending]
            heads[contact] = head
            guard !(schedule.lanes[contact]?.isCut ?? false), sequence <= schedule.cursor else { continue }
            guard let behind = schedule.behind[head.keyRow], head.sequence > behind.after, head.sequence <= behind.upTo
            else { throw violation("nobody will read \(sequence)", about: contact) }
        }
    }

    /// No lane is forgotten: a ready one is in a queue, a parked one has an alarm.
    private func checkLanes() throws {
        let turns = (schedule.readyFresh.all + schedule.readyBacklog.all).filter(schedule.isDue)
        let queued = Set(turns.map(\.contact))
        guard queued.count == turns.count else { throw violation("a lane is queued twice") }
        for (contact, lane) in schedule.lanes {
            let sequences = lane.writes.map(\.pending.id.sequence)
            guard sequences == sequences.sorted() else { throw violation("a lane out of order") }
            guard sequences.isEmpty == (lane.phase == .empty), !sequences.isEmpty || lane.isCut else {
                throw violation("an empty lane for nothing")
            }
            guard lane.isCut == schedule.cutLanes.contains(contact) else { throw violation("a cut lane is forgotten") }
            switch lane.phase {
            case .empty: break
            case .ready:
                guard queued.contains(contact) else { throw violation("a ready lane is forgotten") }
            case .inFlight:
                guard isSuspended || underWay[contact] == lane.current, lane.currentIndex != nil else {
                    throw violation("nothing is under way for \(contact)")
                }
            case .recording:
                guard isSuspended || hasRecord(contact) else {
                    throw violation("nothing is being recorded for \(contact)")
                }
            case .parked(let until, _):
                guard schedule.parked.unordered.contains(where: { $0.at == until && $0.contact == contact }) else {
                    throw violation("a parked lane without an alarm")
                }
            }
        }
    }
}
