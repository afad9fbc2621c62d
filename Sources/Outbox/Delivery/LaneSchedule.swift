import DequeModule
import DexatelAPI
import HeapModule
import NIOCore

/// Decides what is sent next: lanes, fairness, backoff, holds, and who still waits (design §3.2, §3.3).
///
/// A pure state machine: events go in, decisions come out; no I/O, no clock, no randomness, no locks. A lane is a
/// contact's writes in the order of their sequence; it has one write under way at most, and goes on only when the
/// outcome of that write is durable (P3).
///
/// Memory is bounded by the window: it holds every pending write up to `cursor` and none behind it. When it is full,
/// new writes stay in the database, and `refill` brings them in, in order, as room comes.
struct LaneSchedule: Sendable {
    /// Bounds and delays; times in milliseconds.
    struct Limits: Sendable, Equatable {
        /// Writes in memory at most.
        var maxWindowWrites = 16_384
        /// Payload bytes in memory at most; the payloads of further writes are read when they are sent.
        var maxWindowPayloadBytes = 16 * 1024 * 1024
        /// Senders that wait for the upstream's own reply at most (`writes.max_waiting`).
        var maxWaiting = 1024
        /// Writes under way at most (`upstream.max_concurrent_writes`).
        var maxInFlight = 8
        var maxAgeMilliseconds: Int64 = 7 * 86_400_000
        var notFoundGraceMilliseconds: Int64 = 300_000
        var holdProbeMilliseconds: Int64 = 300_000
        var settleMilliseconds: Int64 = 0
        var maxRetryAfterMilliseconds: Int64 = 3_600_000
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
        var payload: WritePayload?
        var waiter: Waiter?
        var foreignNotFoundSince: RelayTime?
    }

    /// An answer for a sender.
    struct Answer: Sendable {
        var waiter: Waiter
        var answer: WriteAnswer
    }

    /// What to do with a lane that is ready.
    enum Claim: Sendable {
        /// Send its first write.
        case attempt(Write)
        /// Its first write is older than `writes.max_age`: record its end.
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
            case ready
            case inFlight
            case recording
            case parked(until: RelayTime, endsWithOutage: Bool)
        }
        var writes: Deque<Write> = []
        var phase = Phase.ready
        /// The upstream's final reply to the first write, until its record is durable.
        var reply: DeliveryReply?
        /// Whether the pause that is being recorded ends when the upstream is back.
        var outageEndsParking = false
    }

    struct Alarm: Comparable, Sendable {
        var at: RelayTime
        var contact: ContactReference
        var sequence: Int64

        static func < (left: Self, right: Self) -> Bool {
            (left.at, left.sequence) < (right.at, right.sequence)
        }
    }

    let limits: Limits
    var lanes: [ContactReference: Lane] = [:]
    var readyFresh: Deque<ContactReference> = []
    var readyBacklog: Deque<ContactReference> = []
    var backlogIsNext = false
    var parked = Heap<Alarm>()
    var waitDeadlines = Heap<Alarm>()
    /// Keys that the upstream wants left alone until a time (429, 401).
    var pausedKeys: [Int64: RelayTime] = [:]
    /// Keys that the upstream has refused with 401: one write at a time probes them.
    var heldKeys: Set<Int64> = []
    var inFlight: Set<Int64> = []
    /// Contacts whose next write waits for late effects of an ambiguous one (`writes.settle`), the earliest end first.
    var settling: Deque<(contact: ContactReference, until: RelayTime)> = []
    var waitingCount = 0
    private(set) var windowCount = 0
    private(set) var isSuspended = false
    private var payloadBytes = 0
    private var cursor: Int64 = 0
    private var newest: Int64 = 0

    init(limits: Limits) {
        self.limits = limits
    }

    // MARK: - Filling the window

    /// Forgets everything, to be filled anew from the database.
    ///
    /// - Parameter heldKeys: The keys that the upstream has refused with 401.
    mutating func restart(heldKeys: Set<Int64>) {
        let newest = newest
        self = LaneSchedule(limits: limits)
        self.newest = newest
        self.heldKeys = heldKeys
    }

    /// Learns from a database that was opened which sequence is the last that is committed.
    mutating func rebase(newest: Int64) {
        self.newest = newest
    }

    /// Takes writes that have just been committed, in order, and answers those whose sender does not wait.
    mutating func accept(_ writes: [Write], isUpstreamHealthy: Bool, now: RelayTime) -> [Answer] {
        var answers: [Answer] = []
        for var write in writes {
            let sequence = write.pending.id.sequence
            let fits = !isSuspended && !isBehindWindow && windowCount < limits.maxWindowWrites && sequence > cursor
            newest = max(newest, sequence)
            if let waiter = write.waiter {
                if fits, isUpstreamHealthy, waiter.deadline > now, waitingCount < limits.maxWaiting,
                    !isHeldBack(write, now)
                {
                    waitingCount += 1
                    if waitDeadlines.count > Self.staleAlarms + 2 * waitingCount { dropStaleDeadlines() }
                    waitDeadlines.insert(
                        Alarm(at: waiter.deadline, contact: write.pending.contact, sequence: sequence)
                    )
                } else {
                    answers.append(Answer(waiter: waiter, answer: .accepted(write.pending.id)))
                    write.waiter = nil
                }
            }
            if fits { insert(write, isFresh: true) }
        }
        return answers
    }

    /// Whether the window ends before the newest write: what is behind it waits in the database.
    private var isBehindWindow: Bool { cursor < newest }

    /// Whether a contact has, or may have, pending writes: what is behind the window is not known.
    func mayHavePending(_ contact: ContactReference) -> Bool { isBehindWindow || lanes[contact] != nil }

    private func isHeldBack(_ write: Write, _ now: RelayTime) -> Bool {
        if let pause = pausedKeys[write.pending.keyRow], pause > now { return true }
        guard let lane = lanes[write.pending.contact] else { return false }
        switch lane.phase {
        case .parked(let until, _): return until > now
        // The pause is decided, and only its record is not durable yet.
        case .recording: return lane.reply == nil && (lane.writes.first?.pending.nextAttempt).map { $0 > now } == true
        case .ready, .inFlight: return false
        }
    }

    private mutating func insert(_ write: Write, isFresh: Bool) {
        var write = write
        if let payload = write.payload {
            let bytes = payload.body.readableBytes
            if payloadBytes + bytes > limits.maxWindowPayloadBytes {
                write.payload = nil
            } else {
                payloadBytes += bytes
            }
        }
        cursor = write.pending.id.sequence
        windowCount += 1
        let contact = write.pending.contact
        let nextAttempt = write.pending.nextAttempt
        let isFirst = lanes[contact] == nil
        lanes[contact, default: Lane()].writes.append(write)
        guard isFirst else { return }
        if let start = [nextAttempt, settling.last { $0.contact == contact }?.until].compactMap({ $0 }).max() {
            park(contact, until: start, endsWithOutage: false)
        } else if isFresh {
            readyFresh.append(contact)
        } else {
            readyBacklog.append(contact)
        }
    }

    /// Rows to read for the window.
    struct RefillRequest: Sendable, Equatable {
        /// Read the pending writes behind this sequence.
        var after: Int64
        /// Read so many at most.
        var limit: Int
        /// The newest sequence that was committed when the request was made.
        var newest: Int64
    }

    /// What to read from the database; nil while there is no need or no room.
    var refillRequest: RefillRequest? {
        guard isBehindWindow, !isSuspended, windowCount <= limits.maxWindowWrites / 2 else { return nil }
        return RefillRequest(after: cursor, limit: limits.maxWindowWrites - windowCount, newest: newest)
    }

    /// Takes what was read for a request.
    mutating func refill(_ writes: [Write], for request: RefillRequest) {
        guard !isSuspended, request.after == cursor else { return }
        for write in writes { insert(write, isFresh: false) }
        // Fewer rows than asked for: nothing that was committed before the request is behind the window any more.
        if writes.count < request.limit { cursor = max(cursor, request.newest) }
        newest = max(newest, cursor)
    }

    // MARK: - Suspension

    /// Stops claiming, and answers everybody who waits: their writes are durable, and what becomes of them will be
    /// found out after the database has been reopened.
    mutating func suspend() -> [Answer] {
        isSuspended = true
        var answers: [Answer] = []
        for contact in Array(lanes.keys) {
            guard let reply = lanes[contact]?.reply else { continue }
            lanes[contact]?.reply = nil
            // Whether a refusal is durable is unknown, and so is what to say: a 202 for a write that turns out to be
            // rejected would be a loss after the acknowledgement (P1, P2).
            guard !(200..<300).contains(reply.status), var answer = takeWaiter(contact, 0) else { continue }
            answer.answer = .unavailable(.storageFailed)
            answers.append(answer)
        }
        return answers + releaseWaiters()
    }

    /// Answers everybody who waits, but for those whose reply is there and is just being made durable.
    mutating func releaseWaiters() -> [Answer] {
        var answers: [Answer] = []
        for contact in Array(lanes.keys) {
            let first = lanes[contact]?.reply == nil ? 0 : 1
            for index in first..<(lanes[contact]?.writes.count ?? first) {
                if let answer = takeWaiter(contact, index) { answers.append(answer) }
            }
        }
        return answers
    }

    /// Takes the waiter of a write, if it has one, to be told 202.
    mutating func takeWaiter(_ contact: ContactReference, _ index: Int) -> Answer? {
        guard let write = lanes[contact]?.writes[index], let waiter = write.waiter else { return nil }
        lanes[contact]?.writes[index].waiter = nil
        waitingCount -= 1
        return Answer(waiter: waiter, answer: .accepted(write.pending.id))
    }

    /// Parks a lane until a time.
    mutating func park(_ contact: ContactReference, until: RelayTime, endsWithOutage: Bool) {
        guard let head = lanes[contact]?.writes.first else { return }
        lanes[contact]?.phase = .parked(until: until, endsWithOutage: endsWithOutage)
        if parked.count > Self.staleAlarms + 2 * lanes.count { dropStaleAlarms() }
        parked.insert(Alarm(at: until, contact: contact, sequence: head.pending.id.sequence))
    }

    /// Alarms that may stand in a heap for nothing before it is tidied up: a lane that was woken early, or a sender that
    /// was answered early, leaves one behind (P8).
    private static let staleAlarms = 1_024

    private mutating func dropStaleAlarms() {
        parked = Heap(
            parked.unordered.filter { alarm in
                guard case .parked(let until, _) = lanes[alarm.contact]?.phase else { return false }
                return until == alarm.at
            }
        )
    }

    private mutating func dropStaleDeadlines() {
        waitDeadlines = Heap(
            waitDeadlines.unordered.filter { alarm in
                lanes[alarm.contact]?.writes.contains {
                    $0.pending.id.sequence == alarm.sequence && $0.waiter != nil
                } ?? false
            }
        )
    }

    /// Makes a lane ready that has something to send.
    mutating func makeReady(_ contact: ContactReference) {
        guard let head = lanes[contact]?.writes.first else { return }
        lanes[contact]?.phase = .ready
        if head.pending.attempts == 0 { readyFresh.append(contact) } else { readyBacklog.append(contact) }
    }

    /// Takes the first write of a lane out of the window, and the lane with it when it was the last.
    mutating func removeFirst(of contact: ContactReference) -> Write? {
        guard let write = lanes[contact]?.writes.popFirst() else { return nil }
        windowCount -= 1
        payloadBytes -= write.payload?.body.readableBytes ?? 0
        if write.waiter != nil { waitingCount -= 1 }
        if lanes[contact]?.writes.isEmpty ?? false { lanes[contact] = nil }
        return write
    }
}
