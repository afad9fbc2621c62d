import DexatelAPI
import GRDB
import NIOCore
import TestSupport
import Testing

@testable import Outbox

/// The schedule of deliveries over a real database, against a model of everything around it: upstream, senders, operators,
/// commits that fail, and restarts, in random interleavings.
@Suite struct LaneModelTests {
    @Test(arguments: 1...18)
    func `whatever happens in whatever order, the promises hold`(_ seed: Int) throws {
        var model = try LaneModel(seed: UInt64(seed))
        for _ in 0..<500 { try model.step() }
        try model.drain()
        #expect(model.accepted > 100, "seed \(seed)")
        #expect(model.kindsSeen.count >= 18, "seed \(seed) saw only \(model.kindsSeen.sorted())")
    }
}

/// What the model saw go wrong.
struct ModelViolation: Error, CustomStringConvertible {
    let description: String
}

/// A random world around one commit loop; keeps its own books and checks every decision against them.
struct LaneModel {
    private let seed: UInt64
    private var random: SeededGenerator
    private let lanes: LaneHarness
    private var nextToken: UInt64 = 1
    /// The contact of each write, and whether its sender waits or waited.
    private var writes: [Int64: (contact: ContactReference, token: UInt64, waits: Bool)] = [:]
    /// Tokens of senders that the process died before it had answered.
    private var unheard: Set<UInt64> = []
    /// What was delivered to each contact.
    private var deliveries: [ContactReference: ContactOrder] = [:]
    private var forced: Set<Int64> = []
    private var stopped: Set<Int> = []
    private var lastProbe: [Int64: RelayTime] = [:]
    private var ended: [Int64: WriteState] = [:]
    private var journal: [ContactReference: [String]] = [:]
    private var steps = 0
    private(set) var accepted = 0
    private(set) var kindsSeen: Set<String> = []
    private static let contacts = 16
    private static let keys = 4

    init(seed: UInt64) throws {
        self.seed = seed
        random = SeededGenerator(seed: seed)
        lanes = try LaneHarness { limits in
            limits.maxWaiting = 6
            limits.maxInFlight = 4
            limits.maxAgeMilliseconds = 3_600_000
            limits.notFoundGraceMilliseconds = 5_000
            limits.holdProbeMilliseconds = 20_000
            limits.settleMilliseconds = seed % 2 == 0 ? 0 : 300
            limits.maxRetryAfterMilliseconds = 10_000
            limits.putSemantics = [.unknown, .merge, .replace][Int(seed / 2 % 3)]
            limits.maxCovered = 4
        }
    }

    private func violation(_ what: String, about contact: ContactReference? = nil) -> ModelViolation {
        let past = contact.flatMap { journal[$0] } ?? []
        return ModelViolation(description: "seed \(seed), step \(steps): \(what)" + past.map { "\n    \($0)" }.joined())
    }

    private mutating func note(_ contact: ContactReference, _ what: String) {
        journal[contact, default: []].append("\(lanes.now.milliseconds % 100_000_000) \(what)")
        if journal[contact]?.count ?? 0 > 60 { journal[contact]?.removeFirst(20) }
    }

    // MARK: - Steps

    mutating func step() throws {
        steps += 1
        switch Int.random(in: 0..<220, using: &random) {
        case ..<45: accept()
        case ..<110: try claim()
        case ..<165: try endAttempt()
        case ..<180: advance(Int64.random(in: 0...400, using: &random))
        case ..<190: advance(Int64.random(in: 0...30_000, using: &random))
        case ..<192: advance(Int64.random(in: 0...600_000, using: &random))
        case ..<195: lanes.engine.upstreamRecovered()
        case ..<197: lanes.engine.upstreamLost()
        case ..<201: try failCommit()
        case ..<204: try restart()
        case ..<209: stop()
        case ..<215: operate()
        case ..<217: takeKey()
        default: expire()
        }
        lanes.step()
        try check(isThorough: steps % 10 == 0)
    }

    /// Everything is well from now on: whatever was accepted must end.
    mutating func drain() throws {
        var rounds = 0
        while lanes.counts.pending > 0 {
            rounds += 1
            guard rounds < 2_000 else {
                let left = pendingRows().first
                throw violation(
                    "\(lanes.counts.pending) writes never end: \(left.map { "\($0)" } ?? "")",
                    about: left?.contact
                )
            }
            for contact in stopped { lanes.stop(contact, false) }
            stopped = []
            let overtaken = pendingRows().filter { $0.hold == .overtaken || $0.hold == .unexpected }.map(\.sequence)
            forced.formUnion(overtaken)
            if !overtaken.isEmpty { _ = lanes.change(.release(isForced: true), overtaken) }
            while try claimOne() {}
            for contact in lanes.upstream.underWay.keys { try end(contact, "200", Sample.outcome(200)) }
            lanes.step()
            try check(isThorough: false)
            advance(2_000)
        }
        try check(isThorough: true)
        guard lanes.engine.waitingCount == 0, lanes.engine.inFlightCount == 0, lanes.counts.held == 0 else {
            throw violation("something is left when everything has ended: \(lanes.counts)")
        }
        for (sequence, write) in writes where !unheard.contains(write.token) {
            let answers = lanes.sink.answers(to: write.token).count
            guard answers == 1 else { throw violation("the write \(sequence) was answered \(answers) times") }
        }
    }

    private mutating func advance(_ milliseconds: Int64) {
        lanes.now = lanes.now + milliseconds
        lanes.expireWaits()
    }

    private mutating func accept() {
        guard lanes.counts.pending < 120 else { return }
        var batch: [NewWrite] = []
        for _ in 0..<Int.random(in: 1...4, using: &random) {
            // A few contacts are busy.
            let number = Int.random(in: 0..<Self.contacts, using: &random)
            let contact = Bool.random(using: &random) ? number % 3 : number
            let method: WriteMethod = random.chance(oneIn: 5) ? .delete : .put
            let names = ["first_name", "date", "tags"].filter { _ in Bool.random(using: &random) }
            let waits = Bool.random(using: &random)
            let write = lanes.write(
                nextToken,
                contact,
                key: Int.random(in: 1...Self.keys, using: &random),
                method: method,
                wait: waits ? Int64.random(in: 1...2_000, using: &random) : nil,
                fields: random.chance(oneIn: 10) ? nil : names
            )
            nextToken += 1
            batch.append(write)
        }
        lanes.submit(batch, healthy: !random.chance(oneIn: 5))
        for write in batch {
            // It may have been refused, as a commit has failed.
            guard let sequence = lanes.sequences[write.token],
                lanes.sink.answers(to: write.token).first.map({ $0.status != 503 }) ?? true
            else { continue }
            accepted += 1
            writes[sequence] = (write.contact, write.token, write.replyWaitMilliseconds > 0)
            note(write.contact, "accepted \(sequence) \(write.method) \(write.fields?.names ?? [])")
        }
    }

    // MARK: - Attempts

    private func pendingRows() -> [PendingWrite] {
        lanes.sql { database in
            try Row.fetchAll(database, sql: "SELECT * FROM pending_write ORDER BY sequence").map {
                try PendingWrite($0)
            }
        } ?? []
    }

    private mutating func claim() throws { _ = try claimOne() }

    private mutating func claimOne() throws -> Bool {
        guard let delivery = lanes.claim() else { return false }
        let contact = delivery.contact
        note(contact, "claimed \(delivery.sequence)")
        let rows = pendingRows().filter { $0.contact == contact }
        guard let row = rows.first(where: { $0.sequence == delivery.sequence }) else {
            throw violation("\(delivery.sequence) is sent, and is not pending", about: contact)
        }
        guard row.hold == .none, !stopped.contains(Int(contact.contact)) else {
            throw violation("\(delivery.sequence) is sent though it is held", about: contact)
        }
        let key = lanes.keys.key(row: row.keyRow)
        try checkOrder(delivery, row, rows)
        if let key, key.isHeld, let keyRow = key.current.row {
            kindsSeen.insert("probe")
            let since = lastProbe[keyRow].map { lanes.now - $0 } ?? .max
            guard since >= lanes.limits.holdProbeMilliseconds else {
                throw violation("the key \(keyRow) is probed after \(since) ms", about: contact)
            }
            lastProbe[keyRow] = lanes.now
        }
        return true
    }

    /// Nothing earlier of its contact could have been sent before it (P3), and nothing later was delivered, unless the
    /// replay rule allows that.
    private mutating func checkOrder(_ delivery: Delivery, _ row: PendingWrite, _ rows: [PendingWrite]) throws {
        let earlier = rows.filter { $0.sequence < row.sequence && $0.hold == .none }
        for other in earlier where !(lanes.keys.key(row: other.keyRow)?.isHeld ?? false) {
            guard other.keyRow == row.keyRow, other.method == .put, lanes.engine.isCovered(other) else {
                throw violation("\(row.sequence) is sent before \(other.sequence)", about: row.contact)
            }
            kindsSeen.insert("covering")
        }
        guard let order = deliveries[row.contact], order.last > row.sequence, !forced.contains(row.sequence) else {
            return
        }
        guard lanes.limits.putSemantics == .merge, order.whole <= row.sequence else {
            throw violation("\(row.sequence) is sent after \(order.last) was delivered", about: row.contact)
        }
        let update = delivery.payload.checkedUpdate
        if let name = update?.members.first(where: { order.wasSet($0.name, after: row.sequence) })?.name {
            throw violation("\(row.sequence) sends \(name), which was set since", about: row.contact)
        }
        kindsSeen.insert("sent without what was set since")
    }

    private mutating func randomOutcome() -> (kind: String, outcome: DeliveryOutcome) {
        let retryAfter = Bool.random(using: &random) ? Int64.random(in: 0...20_000, using: &random) : nil
        switch Int.random(in: 0..<22, using: &random) {
        case 0: return ("400", Sample.outcome(400))
        case 1...2: return ("401", Sample.outcome(401))
        case 3: return ("403", Sample.outcome(403))
        case 4: return ("404 own", Sample.outcome(404, Sample.contactNotFound))
        case 5: return ("404 foreign", Sample.outcome(404, "<html/>"))
        case 6: return ("429", Sample.outcome(429, retryAfter: retryAfter))
        case 7: return ("503", Sample.outcome(503, retryAfter: retryAfter))
        case 8: return ("timeout", Sample.timeout)
        case 9: return ("unreachable", Sample.unreachable)
        case 10: return ("302", Sample.outcome(302))
        case 11: return ("500", Sample.outcome(500))
        default: return ("200", Sample.outcome(200))
        }
    }

    private mutating func endAttempt() throws {
        let underWay = lanes.upstream.underWay.keys.sorted { $0.contact < $1.contact }
        guard let contact = underWay.randomElement(using: &random) else { return }
        let (kind, outcome) = randomOutcome()
        kindsSeen.insert(kind)
        let backoff = Int64.random(in: 0...1_000, using: &random)
        lanes.upstream.setBackoff { _ in backoff }
        try end(contact, kind, outcome)
        // Sometimes the commit thread is busy with others first.
        if Bool.random(using: &random) { lanes.step() }
    }

    private mutating func end(_ contact: ContactReference, _ kind: String, _ outcome: DeliveryOutcome) throws {
        guard let delivery = lanes.upstream.underWay[contact] else { return }
        note(contact, "\(delivery.sequence) is answered \(kind)")
        lanes.upstream.end(contact, outcome, lanes.engine)
    }

    // MARK: - The rest of the world

    private mutating func failCommit() throws {
        guard !lanes.loop.isFailed else { return }
        kindsSeen.insert("failed commit")
        lanes.faults.fail(next: 1, as: Bool.random(using: &random) ? .lost : .kept)
        accept()
        lanes.faults.fail(next: 0, as: .lost)
        guard lanes.loop.isFailed else { return }
        guard lanes.engine.waitingCount == 0 else { throw violation("somebody is left waiting after a failed commit") }
        if Bool.random(using: &random) { try endAttempt() }
        lanes.reopen()
        lastProbe = [:]
    }

    private mutating func restart() throws {
        kindsSeen.insert("restart")
        for (_, write) in writes where lanes.sink.answers(to: write.token).isEmpty { unheard.insert(write.token) }
        try lanes.restart()
        lastProbe = [:]
    }

    private mutating func stop() {
        let contact = Int.random(in: 0..<6, using: &random)
        let isStopped = !stopped.contains(contact)
        lanes.stop(contact, isStopped)
        if isStopped { stopped.insert(contact) } else { stopped.remove(contact) }
        note(Sample.contact(contact), isStopped ? "stopped" : "let go")
        kindsSeen.insert("contact stopped")
    }

    private mutating func operate() {
        let dead = ended.filter { $0.value == .dead }.keys.sorted()
        let pending = pendingRows()
        let isForced = random.chance(oneIn: 4)
        switch Int.random(in: 0..<4, using: &random) {
        case 0:
            guard let sequence = dead.randomElement(using: &random) else { return }
            if lanes.change(.retry(isForced: isForced), [sequence])?.changed == 1 {
                kindsSeen.insert("retried")
                if isForced { forced.insert(sequence) }
                writes[sequence].map { note($0.contact, "retried \(sequence) \(isForced)") }
            }
        case 1:
            guard let write = pending.filter({ $0.hold != .none }).randomElement(using: &random) else { return }
            if lanes.change(.release(isForced: isForced), [write.sequence])?.changed == 1 {
                kindsSeen.insert("released")
                if isForced { forced.insert(write.sequence) }
                note(write.contact, "released \(write.sequence) \(isForced)")
            }
        default:
            guard let write = pending.randomElement(using: &random), random.chance(oneIn: 3) else { return }
            if lanes.discard(write.sequence) {
                kindsSeen.insert("discarded")
                note(write.contact, "discarded \(write.sequence)")
            } else if lanes.upstream.underWay[write.contact] == nil, !lanes.engine.isClaimed(write.contact) {
                note(write.contact, "\(write.sequence) could not be discarded")
            }
        }
    }

    private mutating func takeKey() {
        let key = lanes.key(Int.random(in: 1...Self.keys, using: &random))
        if key.isHeld { kindsSeen.insert("key taken by a read") }
        lanes.commits.perform(TakeKey(key: key))
    }

    private mutating func expire() {
        lanes.keepHouse()
    }

    // MARK: - Checks

    private mutating func check(isThorough: Bool) throws {
        guard !lanes.upstream.sawOverlap else { throw violation("two attempts for one contact are under way together") }
        guard lanes.counts.isBalanced else { throw violation("the books do not balance: \(lanes.counts)") }
        guard lanes.engine.waitingCount <= lanes.limits.maxWaiting else { throw violation("too many wait") }
        try checkEnds()
        guard isThorough else { return }
        let findings = lanes.findings()
        guard findings == [] else { throw violation("\(findings)") }
        for (_, write) in writes where lanes.sink.answers(to: write.token).count > 1 {
            throw violation("\(write.token) was answered twice", about: write.contact)
        }
    }

    /// What has ended since the last time fits what its sender was told.
    private mutating func checkEnds() throws {
        let rows = lanes.sql { try Row.fetchAll($0, sql: "SELECT sequence, state FROM ended_write") } ?? []
        var now: [Int64: WriteState] = [:]
        for row in rows {
            guard let state = WriteState(endedCode: row["state"]) else { continue }
            now[row["sequence"]] = state
        }
        for (sequence, state) in now where ended[sequence] != state {
            kindsSeen.insert("\(state)")
            guard let write = writes[sequence] else { continue }
            note(write.contact, "\(sequence) has ended as \(state)")
            let told = lanes.sink.answers(to: write.token).map(\.status)
            if state == .rejected, told.contains(202) {
                throw violation("\(sequence) was rejected after its 202", about: write.contact)
            }
            if state == .dead, write.waits, told.isEmpty, !unheard.contains(write.token) {
                throw violation("\(sequence) died and its sender was not told 202", about: write.contact)
            }
            if state == .delivered, let row = deliveredRow(sequence) {
                deliveries[write.contact, default: ContactOrder()].delivered(sequence, row.method, row.fields)
            }
        }
        ended = now
    }

    /// What a delivered write has set, as its sender had it.
    private func deliveredRow(_ sequence: Int64) -> (method: WriteMethod, fields: FieldSet?)? {
        guard let delivery = lanes.upstream.begun.last(where: { $0.sequence == sequence }) else { return nil }
        return (delivery.method, FieldSet(method: delivery.method, payload: delivery.payload))
    }
}
