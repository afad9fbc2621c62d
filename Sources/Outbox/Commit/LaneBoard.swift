import DequeModule
import DexatelAPI

/// What the commit thread knows of lanes, keys and the upstream beside the database: nothing of it grows with the backlog.
struct LaneBoard {
    var judge: LaneJudge
    private var turns = LaneTurn.Counter()
    /// Contacts that an operator has stopped.
    private(set) var stopped: Set<ContactReference>
    /// Contacts whose next write waits for late effects of an unclear attempt (`writes.settle`), the earliest end first.
    private var settling: Deque<(contact: ContactReference, until: RelayTime)> = []
    private var settlingUntil: [ContactReference: RelayTime] = [:]
    /// Keys that have just been held: lanes whose first write is theirs may have others that go on now.
    var passes: Deque<Pass> = []
    /// Keys that the upstream takes again: their writes that are held on a 403 are let go.
    var forgiven: Deque<Int64> = []
    /// Keys all of whose lanes are to go on, whatever they wait for, by the rows that writes have.
    var flushes: Deque<Int64> = []
    /// Lanes that waited only for the upstream are to go on.
    var isOutageOver = false
    /// Pending writes that are held by themselves or with their contact.
    private var heldWrites: Int64 = 0
    /// Keys that are held from now on or no longer, since the last commit, and why.
    private var holdNews: [Int64: HoldNews] = [:]
    /// Keys whose holds the log is to tell of.
    private(set) var changedHolds: [(keyRow: Int64, news: HoldNews)] = []

    enum HoldNews: Sendable, Equatable {
        /// The upstream refuses the key, by the attempt of this write.
        case held(PendingWrite)
        /// The upstream takes it again.
        case taken
        /// Nothing waits for it any more.
        case idle
    }

    /// A walk along the lanes of a held key.
    struct Pass: Sendable {
        var keyRow: Int64
        var after: (turn: Int64, sequence: Int64) = (0, 0)
    }

    /// Contacts that wait for late effects at most; beyond that the first ones wait no longer (P8).
    private static let maxSettling = 65_536

    init(limits: LaneLimits, opened: OpenedOutbox) {
        judge = LaneJudge(limits: limits)
        judge.brake = DeathBrake(isOn: opened.pause == .deaths)
        stopped = opened.stoppedContacts
        heldWrites = opened.keys.reduce(0) { $0 &+ $1.held }
    }

    /// Loads the holds of keys, once the database is open.
    mutating func load(_ keys: KeyRegistry, now: RelayTime) {
        for row in keys.heldRows {
            judge.keys.hold(row, probeAt: now, now: now)
            for row in keys.rows(of: row) { passes.append(Pass(keyRow: row)) }
        }
        for row in keys.rowsWithPending { judge.keys.note(keys.effectiveRow(row), at: now, now: now) }
        judge.forbidden.note(now)
        isOutageOver = true
    }

    // MARK: - Turns

    mutating func nextTurn(_ now: RelayTime) -> LaneTurn { turns.next(now) }

    /// The turn of a contact's first write, which has none yet.
    mutating func turn(of contact: ContactReference, _ now: RelayTime) -> LaneTurn {
        dropSettled(now)
        guard let until = settlingUntil[contact] else { return turns.next(now) }
        return LaneTurn(until)
    }

    private mutating func dropSettled(_ now: RelayTime) {
        while let first = settling.first, first.until <= now || settling.count > Self.maxSettling {
            settling.removeFirst()
            if settlingUntil[first.contact] == first.until { settlingUntil[first.contact] = nil }
        }
    }

    /// The next write of a contact waits for late effects of an unclear attempt.
    mutating func settle(_ contact: ContactReference, until: RelayTime) {
        settling.append((contact, until))
        settlingUntil[contact] = until
    }

    /// Ends all waits for a time, on an operator's flush; holds stay.
    mutating func flush(_ keys: KeyRegistry, now: RelayTime) {
        judge.keys.endPauses(now: now)
        judge.upstream.end()
        for row in keys.rowsWithPending where !flushes.contains(row) { flushes.append(row) }
        (settling, settlingUntil) = ([], [:])
    }

    // MARK: - Holds

    /// The upstream refuses a key, and acknowledged writes wait for it.
    mutating func hold(_ keyRow: Int64, by write: PendingWrite, keys: KeyRegistry, now: RelayTime) {
        let isNews = !judge.keys.isHeld(keyRow)
        judge.keys.hold(keyRow, probeAt: now + judge.limits.holdProbeMilliseconds, now: now)
        guard isNews else { return }
        holdNews[keyRow] = .held(write)
        for row in keys.rows(of: keyRow) { passes.append(Pass(keyRow: row)) }
    }

    /// The upstream takes a key.
    mutating func take(_ keyRow: Int64, now: RelayTime) {
        guard judge.keys.isHeld(keyRow) else { return }
        judge.keys.release(keyRow, now: now)
        holdNews[keyRow] = .taken
        forgive(keyRow)
    }

    mutating func forgive(_ keyRow: Int64) {
        if !forgiven.contains(keyRow) { forgiven.append(keyRow) }
    }

    // MARK: - Transactions

    /// Puts into a transaction what follows from it: turns, and which keys are held.
    mutating func settle(_ desk: inout CommitDesk, keys: KeyRegistry, now: RelayTime) {
        for row in desk.news.taken {
            take(row, now: now)
            for row in keys.rows(of: row) { desk.ledger.take(row) }
        }
        for (row, successor) in desk.news.replaced {
            judge.keys.forget(row, now: now)
            holdNews[row] = .idle
            take(successor, now: now)
            forgive(successor)
        }
        var waiting: Int64 = 0
        for row in judge.keys.held.keys {
            let number = Self.waiting(row, desk.ledger.transaction, keys)
            if number > 0 {
                waiting += number
            } else {
                judge.keys.release(row, now: now)
                holdNews[row] = .idle
            }
        }
        var changes: [Int64: Bool] = [:]
        for (row, news) in holdNews {
            let isHeld = if case .held = news { true } else { false }
            for row in keys.rows(of: row) { changes[row] = isHeld }
        }
        let rows = Set(judge.keys.held.keys.flatMap { keys.rows(of: $0) })
        let held = heldWrites + desk.ledger.transaction.heldByKey.values.reduce(0, +) + waiting
        desk.ledger.setHolds(changes, rows: rows, held: held)
        desk.ledger.giveTurns { turns.next(now) }
    }

    /// Writes that wait for a key alone, once a transaction is durable.
    private static func waiting(_ keyRow: Int64, _ transaction: OutboxTransaction, _ keys: KeyRegistry) -> Int64 {
        guard let status = keys.key(row: keyRow)?.current else { return 0 }
        var number = Int64(status.committed - status.held)
        for row in keys.rows(of: keyRow) {
            number += (transaction.pendingByKey[row] ?? 0) - (transaction.heldByKey[row] ?? 0)
        }
        return number
    }

    /// A transaction is durable.
    mutating func committed(_ transaction: OutboxTransaction, keys: KeyRegistry) {
        stopped = transaction.stoppedContacts
        for (row, change) in transaction.heldByKey where change != 0 {
            heldWrites += change
            if let key = keys.key(row: row) { keys.countHeld(key, Int(change)) }
        }
        for (row, news) in holdNews {
            guard let key = keys.key(row: row) else { continue }
            let isHeld = if case .held = news { true } else { false }
            if keys.setHeld(key, isHeld) { changedHolds.append((row, news)) }
        }
        holdNews = [:]
    }

    /// The holds that the log has not been told of.
    mutating func takeChangedHolds() -> [(keyRow: Int64, news: HoldNews)] {
        defer { changedHolds = [] }
        return changedHolds
    }
}
