import DexatelAPI
import HeapModule
import NIOCore
import TestSupport
import Testing

@testable import Outbox

/// The schedule against a model of everything around it: database, commit thread, upstream and clock, in random
/// interleavings.
@Suite struct LaneScheduleModelTests {
    @Test(arguments: 1...12)
    func `whatever happens in whatever order, the promises hold`(_ seed: Int) throws {
        var model = LaneScheduleModel(seed: UInt64(seed))
        for _ in 0..<4_000 {
            try model.step()
        }
        try model.drain()
        #expect(model.accepted > 500, "seed \(seed)")
        #expect(model.answered == model.waitersIssued, "seed \(seed)")
        #expect(model.kindsSeen.count >= 8, "seed \(seed) saw only \(model.kindsSeen.sorted())")
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
    /// Records that wait for the commit thread.
    private var inbox: [LaneSchedule.Ended.Record] = []
    private var isSuspended = false
    private var restartsWhenIdle = false
    private var lastEnded: [ContactReference: Int64] = [:]
    private var lastProbe: [Int64: RelayTime] = [:]
    private var heldRows: Set<Int64> = []
    private var isCalm = false
    /// Claims so far, and how many there were when each lane became ready.
    private var claims = 0
    private var readySince: [ContactReference: Int] = [:]

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
        schedule = LaneSchedule(limits: limits)
    }

    var answered: Int { sink.count }

    private func violation(_ what: String) -> ModelViolation { ModelViolation(description: "seed \(seed): \(what)") }

    // MARK: - Steps

    mutating func step() throws {
        if isSuspended, Int.random(in: 0..<8, using: &random) == 0 { reopen() }
        switch Int.random(in: 0..<200, using: &random) {
        case ..<40: accept()
        case ..<90: try claim()
        case ..<130: try endAttempt()
        case ..<165: try commitRecords()
        case ..<180: advance(Int64.random(in: 0...400, using: &random))
        case ..<190: refill()
        case ..<195: advance(Int64.random(in: 0...30_000, using: &random))
        case ..<196: advance(Int64.random(in: 0...600_000, using: &random))
        case ..<197: schedule.upstreamRecovered()
        case ..<198: try failCommit()
        default: try claimUntilNone()
        }
        try check()
    }

    /// Everything is well from now on: whatever was accepted must end.
    mutating func drain() throws {
        isCalm = true
        var rounds = 0
        while !rows.isEmpty || isSuspended {
            rounds += 1
            guard rounds < 60_000 else {
                throw violation("\(rows.count) writes never end: \(rows.keys.sorted().prefix(5))")
            }
            if isSuspended { reopen() }
            refill()
            try claimUntilNone()
            while !underWay.isEmpty { try endAttempt() }
            while !inbox.isEmpty { try commitRecords() }
            try check()
            advance(200)
        }
        guard schedule.windowCount == 0, schedule.lanes.isEmpty, schedule.inFlight.isEmpty, schedule.waitingCount == 0
        else {
            throw violation("the schedule still holds something when everything has ended")
        }
        for (token, answers) in sink.all where answers.count != 1 {
            throw violation("the write \(token) was answered \(answers.count) times")
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
            }
            let write = LaneSchedule.Write(
                pending: PendingWrite(
                    id: WriteID(sequence: nextSequence, nonce: 0),
                    contact: contact,
                    keyRow: Int64(key),
                    method: Int.random(in: 0..<4, using: &random) == 0 ? .delete : .put,
                    storedBytes: 10,
                    acceptedClock: now,
                    attempts: 0,
                    nextAttempt: nil,
                    isHeld: false,
                    isAmbiguous: false
                ),
                key: Self.knownKeys[key],
                payload: Sample.payload(String(repeating: "x", count: Int.random(in: 0...30, using: &random))),
                waiter: waiter
            )
            rows[nextSequence] = Row(write: write, hasWaiter: waiter != nil, wasAcknowledged: waiter == nil)
            nextSequence += 1
            accepted += 1
            batch.append(write)
        }
        take(schedule.accept(batch, isUpstreamHealthy: Int.random(in: 0..<5, using: &random) > 0, now: now))
    }

    private mutating func refill() {
        guard let request = schedule.refillRequest else { return }
        kindsSeen.insert("refill")
        let found = rows.keys.filter { $0 > request.after }.sorted().prefix(request.limit)
        let writes = found.compactMap { rows[$0]?.write }.map { write in
            var write = write
            (write.payload, write.waiter) = (nil, nil)
            return write
        }
        // Sometimes more is committed while the answer is on its way.
        if !isCalm, Bool.random(using: &random) { accept() }
        schedule.refill(writes, for: request)
    }

    // MARK: - Claims

    private mutating func claimUntilNone() throws {
        while try claim() {}
    }

    @discardableResult
    private mutating func claim() throws -> Bool {
        let readyBefore = schedule.readyFresh.first ?? schedule.readyBacklog.first
        guard let contact = schedule.nextReady(now: now) else {
            // Nothing is ready only if nothing could be.
            if !isSuspended, underWay.count < schedule.limits.maxInFlight, let readyBefore,
                schedule.lanes[readyBefore]?.phase == .ready
            {
                throw violation("a ready lane is passed over")
            }
            return false
        }
        // Each lane is in one of two queues once, and the queues take turns.
        if let since = readySince.removeValue(forKey: contact), claims - since > 2 * Self.contacts {
            throw violation("a ready lane has waited for \(claims - since) claims")
        }
        claims += 1
        switch schedule.claim(contact, now: now) {
        case nil: throw violation("what is next cannot be claimed")
        case .expired(let end):
            kindsSeen.insert("expired")
            try checkIsNext(end.sequence, contact)
            inbox.append(.end(end))
        case .attempt(let write):
            try checkIsNext(write.pending.id.sequence, contact)
            guard underWay[contact] == nil else { throw violation("two attempts at once for \(contact)") }
            let key = write.pending.keyRow
            if heldRows.contains(key) {
                kindsSeen.insert("probe")
                if let last = lastProbe[key], now - last < schedule.limits.holdProbeMilliseconds {
                    throw violation("a second probe of a held key after \(now - last) ms")
                }
                lastProbe[key] = now
            }
            underWay[contact] = write.pending.id.sequence
            guard underWay.count <= schedule.limits.maxInFlight else { throw violation("too many under way") }
        }
        return true
    }

    /// A claimed write is its contact's oldest, and everything before it is confirmed.
    private func checkIsNext(_ sequence: Int64, _ contact: ContactReference) throws {
        guard !isSuspended else { throw violation("a claim while suspended") }
        let oldest = rows.filter { $0.value.write.pending.contact == contact }.keys.min()
        guard oldest == sequence else {
            throw violation(
                "\(sequence) is claimed, but \(oldest.map(String.init) ?? "nothing") is that contact's oldest"
            )
        }
        if inbox.contains(where: { Self.contact(of: $0) == contact }) {
            throw violation("\(sequence) is claimed before the last outcome is durable")
        }
    }

    private static func contact(of record: LaneSchedule.Ended.Record) -> ContactReference {
        switch record {
        case .attempt(let attempt): attempt.contact
        case .end(let end): end.contact
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

    private mutating func endAttempt() throws {
        guard let contact = underWay.keys.sorted(by: { $0.contact < $1.contact }).randomElement(using: &random),
            let sequence = underWay.removeValue(forKey: contact)
        else { return }
        let (kind, outcome) = randomOutcome()
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
        if case .attempt = ended.record, let row = rows[sequence], row.hasWaiter, !row.wasAcknowledged {
            throw violation("the sender of \(sequence) still waits after a retryable outcome")
        }
        inbox.append(ended.record)
    }

    /// What is recorded fits the outcome, and who had its 202 when it came.
    private mutating func checkMeaning(_ record: LaneSchedule.Ended.Record, _ sequence: Int64, _ kind: String) throws {
        guard let row = rows[sequence] else { throw violation("an outcome for a write that has ended") }
        let key = row.write.pending.keyRow
        switch record {
        case .attempt(let attempt):
            guard attempt.sequence == sequence, attempt.attempts == row.write.pending.attempts + 1 else {
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

    private mutating func commitRecords() throws {
        guard !inbox.isEmpty, !isSuspended else { return }
        let records = inbox
        inbox = []
        for record in records {
            switch record {
            case .attempt(let attempt):
                guard rows[attempt.sequence] != nil else { throw violation("an attempt of a write that has ended") }
                rows[attempt.sequence]?.write.pending.attempts = attempt.attempts
                rows[attempt.sequence]?.write.pending.nextAttempt = attempt.nextAttempt
                rows[attempt.sequence]?.write.pending.isHeld = attempt.isHeld
                rows[attempt.sequence]?.write.pending.isAmbiguous = attempt.isAmbiguous
                schedule.attemptRecorded(attempt.contact)
            case .end(let end):
                guard let row = rows.removeValue(forKey: end.sequence) else { throw violation("a second end") }
                guard end.sequence > lastEnded[end.contact] ?? 0 else { throw violation("ends out of order") }
                lastEnded[end.contact] = end.sequence
                if let answer = schedule.endRecorded(end.contact, now: now) {
                    guard row.hasWaiter else { throw violation("an answer for nobody") }
                    if case .replied = answer.answer, row.wasAcknowledged { throw violation("a reply after a 202") }
                    take([answer])
                }
                if row.hasWaiter, sink.answers(to: UInt64(end.sequence)).count != 1 {
                    throw violation("\(end.sequence) has ended and its sender was not answered once")
                }
            }
        }
    }

    /// The commit fails: what was in it may or may not be there; nobody may be left waiting.
    private mutating func failCommit() throws {
        guard !isSuspended else { return }
        kindsSeen.insert("failed commit")
        isSuspended = true
        if Bool.random(using: &random) {
            // It is on disk all the same.
            for record in inbox {
                switch record {
                case .attempt(let attempt):
                    rows[attempt.sequence]?.write.pending.attempts = attempt.attempts
                    rows[attempt.sequence]?.write.pending.nextAttempt = attempt.nextAttempt
                    rows[attempt.sequence]?.write.pending.isHeld = attempt.isHeld
                    rows[attempt.sequence]?.write.pending.isAmbiguous = attempt.isAmbiguous
                case .end(let end):
                    rows[end.sequence] = nil
                    lastEnded[end.contact] = end.sequence
                }
            }
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
        schedule.restart(heldKeys: heldRows)
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
        guard schedule.windowCount <= schedule.limits.maxWindowWrites else { throw violation("the window overflows") }
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
        guard payloadBytes <= schedule.limits.maxWindowPayloadBytes else { throw violation("too many payload bytes") }
        try checkLanes()
        for (contact, lane) in schedule.lanes where lane.phase == .ready && readySince[contact] == nil {
            readySince[contact] = claims
        }
        readySince = readySince.filter { schedule.lanes[$0.key]?.phase == .ready }
    }

    /// No lane is forgotten: a ready one is in a queue, a parked one has an alarm.
    private func checkLanes() throws {
        let queued = Set(schedule.readyFresh).union(schedule.readyBacklog)
        guard queued.count == schedule.readyFresh.count + schedule.readyBacklog.count else {
            throw violation("a lane is queued twice")
        }
        for (contact, lane) in schedule.lanes {
            let sequences = lane.writes.map(\.pending.id.sequence)
            guard !sequences.isEmpty, sequences == sequences.sorted() else { throw violation("a lane out of order") }
            switch lane.phase {
            case .ready:
                guard queued.contains(contact) else { throw violation("a ready lane is forgotten") }
            case .inFlight:
                guard isSuspended || underWay[contact] == sequences[0] else {
                    throw violation("nothing is under way for \(contact)")
                }
            case .recording:
                guard isSuspended || inbox.contains(where: { Self.contact(of: $0) == contact }) else {
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
