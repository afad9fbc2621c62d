import DequeModule
import DexatelAPI
import HeapModule
import NIOCore

/// Decides what is sent next: lanes, fairness, superseding, backoff, holds, and who still waits (design §3.2–§3.4).
///
/// A pure state machine: events go in, decisions come out; no I/O, no clock, no randomness, no locks. A lane is a
/// contact's writes in the order of their sequence; it has one write under way at most, and goes on only when the
/// outcome of that write is durable (P3).
///
/// Memory is bounded by the window, of which no key and no lane can take more than a share. What does not fit stays in
/// the database. Of each contact the window holds the first writes, and every pending write that is not held is
///
/// - in its lane, or
/// - behind `cursor`, up to where the backlog has been read, or
/// - of a lane that is cut: the rest of the contact's writes are read when it has room, or
/// - of a contact whose first write belongs to a key in `behind`: the key had no room when the backlog was read, or is
///   paused.
///
/// A write that is held leaves the window, and `Recall` brings it back.
struct LaneSchedule: Sendable {
    /// Bounds and delays; times in milliseconds.
    struct Limits: Sendable, Equatable {
        /// Writes in memory at most.
        var maxWindowWrites = 8_192
        /// Payload bytes in memory at most; the payloads of further writes are read when they are sent.
        var maxWindowPayloadBytes = 8 << 20
        /// Senders that wait for the upstream's own reply at most (`writes.max_waiting`).
        var maxWaiting = 1024
        /// Writes under way at most (`upstream.max_concurrent_writes`).
        var maxInFlight = 8
        /// Writes that one delivery covers at most.
        var maxCovered = 256
        var maxAgeMilliseconds: Int64 = 7 * 86_400_000
        var notFoundGraceMilliseconds: Int64 = 300_000
        var foreignReplyGraceMilliseconds: Int64 = 3_600_000
        /// How long delivery pauses at a time while something else than the API answers.
        var foreignPauseMilliseconds: Int64 = 2_000
        /// 2xx in a row with the same status that confirm nothing, after which a write is held.
        var maxUnconfirmed = 20
        var holdProbeMilliseconds: Int64 = 300_000
        var settleMilliseconds: Int64 = 0
        var maxRetryAfterMilliseconds: Int64 = 3_600_000
        /// `writes.supersede`.
        var supersedes = true
        /// `writes.put_semantics`.
        var putSemantics = PutSemantics.unknown

        /// Writes answered 403 that are tried again in each `hold_probe` at most.
        var maxForbiddenRetries = 256

        /// Room for writes of a kind: none of them can keep the others out.
        func room(for part: WindowPart) -> Int {
            let (fresh, returned) = (max(1, maxWindowWrites * 3 / 8), max(1, maxWindowWrites / 8))
            return switch part {
            case .fresh: fresh
            case .returned: returned
            case .backlog: max(1, maxWindowWrites - fresh - returned)
            }
        }

        /// Writes of a lane in memory at most: what one delivery can cover, and the one that does.
        var maxLaneWrites: Int { maxCovered + 1 }

        /// Writes of a key that is paused in memory at most, but for those that cannot be set aside.
        var maxPausedWrites: Int { max(1, maxWindowWrites / 512) }

        /// With fewer lanes of the backlog ready, more of it is read.
        var minReadyBacklog: Int { max(1, maxWindowWrites / 32) }
    }

    /// How a write came into the window.
    enum WindowPart: Int, Sendable, CaseIterable {
        /// It has just been accepted.
        case fresh
        /// It was read from the database.
        case backlog
        /// It was held.
        case returned
    }

    /// The pending write of a contact directly before another one that is not held, as the database had it.
    enum Predecessor: Sendable, Equatable {
        case unknown
        /// There is none.
        case first
        case write(Int64)
    }

    /// A sender that waits for the upstream's own reply.
    struct Waiter: Sendable {
        var sink: any WriteAnswerSink
        var token: UInt64
        var deadline: RelayTime
    }

    /// A write in the window.
    struct Write: Sendable {
        var pending: PendingWrite
        var key: KnownKey
        /// The row of the key that is sent: that of the write, or its successor.
        var keyRow: Int64
        var payload: WritePayload?
        var waiter: Waiter?
        /// The write under way covers this one.
        var isCovered = false
        /// The last 2xx that did not confirm it, and how often in a row it came.
        var unconfirmed = (status: 0, count: 0)
        /// How it came into the window.
        var part = WindowPart.fresh
        var predecessor = Predecessor.unknown
        /// Whether the contact had later writes when this one was read.
        var hasSuccessor = false

        init(pending: PendingWrite, key: KnownKey, keyRow: Int64? = nil, payload: WritePayload?, waiter: Waiter?) {
            self.pending = pending
            self.key = key
            self.keyRow = keyRow ?? pending.keyRow
            self.payload = payload
            self.waiter = waiter
        }
    }

    /// An answer for a sender.
    struct Answer: Sendable {
        var waiter: Waiter
        var answer: WriteAnswer
    }

    /// What to do with a lane that is ready.
    enum Claim: Sendable {
        /// Send this write.
        case attempt(Write)
        /// It is older than `writes.max_age`: record its end.
        case expired(EndRecord)
    }

    /// What an attempt changed: a record to be made durable, and answers that need not wait for that.
    struct Ended: Sendable {
        enum Record: Sendable, Equatable {
            case attempt(AttemptRecord)
            case end(EndRecord)
        }
        var record: Record
        var answers: [Answer] = []
    }

    struct Lane: Sendable {
        enum Phase: Sendable, Equatable {
            /// Nothing of the lane is in memory; the database may have more of it.
            case empty
            case ready
            case inFlight
            case recording
            case parked(until: RelayTime, endsWithOutage: Bool)
        }
        var writes: Deque<Write> = []
        var phase = Phase.empty
        /// Whether it is ready in the queue of the backlog.
        var isReadyBacklog = false
        /// The database may have writes behind these that have to be read for this lane.
        var isCut = false
        /// The place in a ready queue that counts; any other is left over.
        var ticket: UInt64 = 0
        /// The write that is under way or whose outcome is being recorded.
        var current: Int64 = 0
        /// The key that it was sent with: another may have replaced it since.
        var currentKeyRow: Int64 = 0
        /// The upstream's final reply to that write, until its record is durable.
        var reply: DeliveryReply?
        /// Whether that outcome was a delivery.
        var isDelivered = false
        /// Whether the pause that is being recorded ends when the upstream is back.
        var outageEndsParking = false

        var isBusy: Bool { phase == .inFlight || phase == .recording }
        var currentIndex: Int? { writes.firstIndex { $0.pending.sequence == current } }
    }

    struct Alarm: Comparable, Sendable {
        var at: RelayTime
        var contact: ContactReference
        var sequence: Int64

        static func < (left: Self, right: Self) -> Bool {
            (left.at, left.sequence) < (right.at, right.sequence)
        }
    }

    var limits: Limits
    var lanes: [ContactReference: Lane] = [:]
    var readyFresh = ReadyQueue()
    var readyBacklog = ReadyQueue()
    /// Lanes that are ready in the queue of the backlog.
    var readyBacklogCount = 0
    var backlogIsNext = false
    var lastTicket: UInt64 = 0
    var parked = Heap<Alarm>()
    var waitDeadlines = Heap<Alarm>()
    /// Keys that the upstream wants left alone until a time (429).
    var pausedKeys: [Int64: RelayTime] = [:]
    /// How often in a row each of them was paused.
    var pausesInARow: [Int64: Int64] = [:]
    /// When the first of them may be used again.
    var firstPauseEnds: RelayTime?
    /// The contact that got a 503 with `Retry-After` last, and until when that stands.
    ///
    /// A second contact confirms it.
    var pauseSuspect: (contact: ContactReference, until: RelayTime)?
    /// The upstream wants to be left alone until then (503 with `Retry-After`, confirmed).
    var upstreamPausedUntil: RelayTime?
    /// Replies that are not the API's.
    var foreignReplies = ForeignReplies()
    /// Keys that the upstream has refused with 401: one write at a time probes them.
    var heldKeys: [Int64: HeldKey] = [:]
    var probeAlarms = Heap<ProbeAlarm>()
    /// Contacts that an operator has stopped.
    var stoppedContacts: Set<ContactReference> = []
    /// Writes that have left their lanes, until they are taken to be recorded.
    var leaving: [HoldRecord] = []
    /// Those whose record is not durable yet.
    var departing: [Int64: Recall] = [:]
    /// Those of them that had something older of their contact before them that is outside memory.
    var strays: Set<Int64> = []
    /// How many of them go where each recall finds them.
    var departures: [Recall: Int] = [:]
    var recalls: Deque<Recall> = []
    /// The recall that is under way.
    var recalling: RecallRequest?
    /// Its kind was called off meanwhile: what it found says nothing of what is to come back now.
    var isRecallStale = false
    /// What is coming back as a whole: new writes of the kind go the same way until all is back, so that order is kept.
    var returning: Set<Recall> = []
    /// When the first write that is held on a 403 is to be tried again.
    var heldWritesDueAt: RelayTime?
    /// How many of them were tried again in this `hold_probe`, and when it ends.
    var forbiddenRetries = (count: 0, until: RelayTime(milliseconds: 0))
    /// Writes that an operator is ending, and that a read of the database may still bring.
    var withdrawn: Set<Int64> = []
    var isWithdrawing = false
    /// The read of pending writes that is under way.
    var refilling: RefillRequest?
    /// Reads so far, for the kinds of them to take turns.
    var reads = 0
    /// Writes that have left memory since it began: it may still bring them.
    var gone: Set<Int64> = []
    /// Writes that were set aside since then: what it says of them may no longer be true.
    var setAside: Set<Int64> = []
    /// Whether writes have stayed in the database since it began: it may have missed them.
    var hasMissed = false
    /// Contacts of those that had been held.
    var missedContacts: Set<ContactReference> = []
    /// Lanes that are cut.
    var cutLanes: Set<ContactReference> = []
    /// Keys some of whose writes were passed over when the backlog was read, or set aside.
    var behind: [Int64: Behind] = [:]
    /// When the window is searched for writes that are too old.
    var expirySweepAt: RelayTime?
    /// Lanes that may have more such writes.
    var expiring: Set<ContactReference> = []
    var inFlight: Set<Int64> = []
    /// Contacts whose next write waits for late effects of an ambiguous one (`writes.settle`), the earliest end first.
    var settling: Deque<(contact: ContactReference, until: RelayTime)> = []
    var settlingUntil: [ContactReference: RelayTime] = [:]
    /// Contacts that were stopped (true) or let go since the database failed; what it said when it was opened is older.
    var changedStops: [ContactReference: Bool] = [:]
    var waitingCount = 0
    var windowCount = 0
    var shares: [WindowShare] = WindowPart.allCases.map { _ in WindowShare() }
    var isSuspended = false
    var payloadBytes = 0
    var cursor: Int64 = 0
    var newest: Int64 = 0

    init(limits: Limits) {
        self.limits = limits
    }

    // MARK: - Restarting

    /// What a database that was opened says of holds.
    struct Holds: Sendable {
        /// Effective keys that the upstream has refused with 401.
        var refusedKeys: Set<Int64> = []
        /// Effective keys that it has not refused, and that have held writes all the same: they were being released.
        var releasingKeys: Set<Int64> = []
        /// Contacts that an operator has stopped.
        var stoppedContacts: Set<ContactReference> = []
        /// Contacts that an operator has let go, and whose writes were coming back.
        var releasingContacts: Set<ContactReference> = []
    }

    /// Forgets everything, to be filled anew from the database.
    mutating func restart(_ holds: Holds, now: RelayTime) {
        let (newest, changedStops) = (newest, changedStops)
        self = LaneSchedule(limits: limits)
        self.newest = newest
        var holds = holds
        for (contact, isStopped) in changedStops {
            if isStopped {
                holds.stoppedContacts.insert(contact)
                holds.releasingContacts.remove(contact)
            } else if holds.stoppedContacts.remove(contact) != nil {
                holds.releasingContacts.insert(contact)
            }
        }
        stoppedContacts = holds.stoppedContacts
        for row in holds.refusedKeys {
            heldKeys[row] = HeldKey(probeAt: now)
            awaitProbe(row)
        }
        recalls = [.queued]
        for row in holds.releasingKeys.sorted() { bringBack(.key(row)) }
        for contact in holds.releasingContacts { bringBack(.contact(contact)) }
        heldWritesDueAt = now
    }

    /// Learns from a database that was opened which sequence is the last that is committed.
    mutating func rebase(newest: Int64) {
        self.newest = newest
    }

    /// Writes have been committed that are to be read from the database.
    mutating func appended(newest sequence: Int64) {
        newest = max(newest, sequence)
    }

    // MARK: - Queues

    /// Parks a lane until a time.
    mutating func park(_ contact: ContactReference, until: RelayTime, endsWithOutage: Bool) {
        guard let head = lanes[contact]?.writes.first else { return }
        setPhase(.parked(until: until, endsWithOutage: endsWithOutage), of: contact)
        if parked.count > Self.staleEntries + 2 * lanes.count { dropStaleAlarms() }
        parked.insert(Alarm(at: until, contact: contact, sequence: head.pending.sequence))
    }

    /// Entries that may stand in a queue or heap for nothing before it is tidied up: a lane that was woken early or is
    /// gone, or a sender that was answered early, leaves one behind (P8).
    static let staleEntries = 1_024

    private mutating func dropStaleAlarms() {
        parked = Heap(
            parked.unordered.filter { alarm in
                guard case .parked(let until, _) = lanes[alarm.contact]?.phase else { return false }
                return until == alarm.at
            }
        )
    }

    /// Gives a lane that has something to send a place in a ready queue.
    mutating func makeReady(_ contact: ContactReference, isBacklog: Bool = false) {
        guard let head = lanes[contact]?.writes.first else { return }
        lastTicket += 1
        let isBacklog = isBacklog || head.pending.attempts > 0
        setPhase(.ready, of: contact, isBacklog: isBacklog)
        lanes[contact]?.ticket = lastTicket
        let turn = Turn(contact: contact, ticket: lastTicket)
        if isBacklog {
            readyBacklog.append(turn, key: head.keyRow)
        } else {
            readyFresh.append(turn, key: head.keyRow)
        }
        if readyFresh.count + readyBacklog.count > Self.staleEntries + 2 * lanes.count { dropStaleTurns() }
    }

    /// Contacts that wait for late effects at most; beyond that the first ones wait no longer (P8).
    static let maxSettling = 65_536

    /// The next write of a contact waits for late effects of an unclear attempt.
    mutating func settle(_ contact: ContactReference, _ now: RelayTime) {
        guard limits.settleMilliseconds > 0, !isSuspended else { return }
        let until = now + limits.settleMilliseconds
        settling.append((contact, until))
        settlingUntil[contact] = until
        if settling.count > Self.maxSettling { dropFirstSettled() }
    }

    mutating func dropFirstSettled() {
        guard let first = settling.popFirst(), settlingUntil[first.contact] == first.until else { return }
        settlingUntil[first.contact] = nil
    }

    mutating func setPhase(_ phase: Lane.Phase, of contact: ContactReference, isBacklog: Bool = false) {
        guard let lane = lanes[contact] else { return }
        if lane.isReadyBacklog { readyBacklogCount -= 1 }
        lanes[contact]?.phase = phase
        lanes[contact]?.isReadyBacklog = isBacklog
        if isBacklog { readyBacklogCount += 1 }
    }

    func isDue(_ turn: Turn) -> Bool {
        lanes[turn.contact].map { $0.phase == .ready && $0.ticket == turn.ticket } ?? false
    }

    private mutating func dropStaleTurns() {
        let lanes = lanes
        let isDue = { (turn: Turn) in
            lanes[turn.contact].map { $0.phase == .ready && $0.ticket == turn.ticket } ?? false
        }
        readyFresh.keep(where: isDue)
        readyBacklog.keep(where: isDue)
    }

    /// Lets a lane that is not busy go on with what it holds now.
    mutating func goOn(_ contact: ContactReference, now: RelayTime, isBacklog: Bool = false) {
        letHeldLeave(contact, now)
        guard let head = lanes[contact]?.writes.first else { return }
        let settled = settlingUntil[contact]
        if let until = [head.pending.nextAttempt, settled].compactMap({ $0 }).max(), until > now {
            park(contact, until: until, endsWithOutage: false)
        } else {
            makeReady(contact, isBacklog: isBacklog)
        }
    }
}
