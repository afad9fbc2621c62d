import DequeModule
import DexatelAPI
import NIOCore

/// The lanes that are claimed: those that wait for a place among the attempts, those under way, and those whose outcome
/// is being made durable.
///
/// A lane has one claim at most (P3).
struct Flights: Sendable {
    enum Phase: Sendable, Equatable {
        /// It waits for its attempt.
        case claimed
        case underWay(since: ContinuousClock.Instant)
        /// The attempt has ended; its outcome is on its way to the database.
        case recording
    }

    private struct Flight: Sendable {
        var claim: Claim
        var phase: Phase
    }

    private var flights: [ContactReference: Flight] = [:]
    /// Lanes that wait for their attempts, key by key, and the keys in turns.
    private var waiting: [Int64: Deque<ContactReference>] = [:]
    private var keys: Deque<Int64> = []
    /// The contacts of the writes under way.
    private var underWay: [Int64: ContactReference] = [:]
    private(set) var claimedCount = 0
    private(set) var claimedBytes = 0

    var underWayCount: Int { underWay.count }
    /// Attempts that have ended, and whose outcomes are not durable yet.
    private(set) var recordingCount = 0
    var contacts: [ContactReference] { Array(flights.keys) }

    func contains(_ contact: ContactReference) -> Bool { flights[contact] != nil }

    func isUnderWay(_ sequence: Int64) -> Bool { underWay[sequence] != nil }

    /// All that is being sent.
    var claimsUnderWay: [Claim] { underWay.values.compactMap { flights[$0]?.claim } }

    /// What is being sent.
    func claim(underWay sequence: Int64) -> Claim? { underWay[sequence].flatMap { flights[$0]?.claim } }

    /// Since when the oldest attempt has been under way.
    var oldestAttemptBegan: ContinuousClock.Instant? {
        underWay.values.compactMap { contact in
            if case .underWay(let since) = flights[contact]?.phase { since } else { nil }
        }.min()
    }

    /// Whether a write is being sent, or is covered by one that is, or its outcome is being recorded.
    func isBusy(_ sequence: Int64, of contact: ContactReference) -> Bool {
        guard let flight = flights[contact], flight.phase != .claimed else { return false }
        return flight.claim.sequence == sequence || flight.claim.covered.contains { $0.sequence == sequence }
    }

    /// A lane's turn has come.
    mutating func add(_ claim: Claim) {
        guard flights[claim.contact] == nil else { return }
        flights[claim.contact] = Flight(claim: claim, phase: .claimed)
        if waiting[claim.keyRow] == nil { keys.append(claim.keyRow) }
        waiting[claim.keyRow, default: []].append(claim.contact)
        claimedCount += 1
        claimedBytes += claim.payload.body.readableBytes
    }

    /// The lane whose attempt is next.
    var next: ContactReference? { keys.first.flatMap { waiting[$0]?.first } }

    /// Which of these writes are those whose outcomes are on their way to the database.
    func recording(among sequences: Set<Int64>) -> Set<Int64> {
        guard recordingCount > 0 else { return [] }
        return Set(flights.values.filter { $0.phase == .recording }.map(\.claim.sequence)).intersection(sequences)
    }

    /// Begins the attempt of the lane that is next; nil when another one is by now.
    mutating func start(_ contact: ContactReference, at now: ContinuousClock.Instant) -> Claim? {
        guard next == contact, let claim = flights[contact]?.claim, let key = keys.popFirst() else { return nil }
        waiting[key]?.removeFirst()
        if waiting[key]?.isEmpty ?? true { waiting[key] = nil } else { keys.append(key) }
        claimedCount -= 1
        claimedBytes -= claim.payload.body.readableBytes
        flights[contact]?.phase = .underWay(since: now)
        underWay[claim.sequence] = contact
        return claim
    }

    /// An attempt has ended; its place is free, its lane is not.
    mutating func ended(_ sequence: Int64) -> Claim? {
        guard let contact = underWay.removeValue(forKey: sequence) else { return nil }
        flights[contact]?.phase = .recording
        recordingCount += 1
        return flights[contact]?.claim
    }

    /// The outcome is durable, or will never be.
    mutating func recorded(_ contact: ContactReference) {
        guard flights[contact]?.phase == .recording else { return }
        flights[contact] = nil
        recordingCount -= 1
    }

    /// Takes claims back whose attempts have not begun.
    mutating func withdraw(where isMeant: (Claim) -> Bool) -> [Claim] {
        guard claimedCount > 0 else { return [] }
        let meant = flights.values.filter { $0.phase == .claimed && isMeant($0.claim) }.map(\.claim)
        guard !meant.isEmpty else { return [] }
        for claim in meant {
            flights[claim.contact] = nil
            claimedCount -= 1
            claimedBytes -= claim.payload.body.readableBytes
        }
        let left = flights
        for key in keys {
            waiting[key]?.removeAll { left[$0] == nil }
            if waiting[key]?.isEmpty ?? true { waiting[key] = nil }
        }
        keys.removeAll { waiting[$0] == nil }
        return meant
    }

    /// Nothing that is known of writes counts any longer: what waits is dropped, and so is what was being recorded.
    mutating func suspend() {
        flights = flights.filter { if case .underWay = $0.value.phase { true } else { false } }
        (waiting, keys, claimedCount, claimedBytes, recordingCount) = ([:], [], 0, 0, 0)
    }

    /// What must hold after each event; looked at in debug builds alone.
    func assertInvariants() {
        assert(claimedCount == flights.values.count { $0.phase == .claimed }, "claims are miscounted")
        assert(recordingCount == flights.values.count { $0.phase == .recording }, "outcomes are miscounted")
        assert(claimedCount == waiting.values.reduce(0) { $0 + $1.count }, "a claim is forgotten")
        assert(Set(keys) == Set(waiting.keys) && keys.count == waiting.count, "a key is forgotten")
        assert(
            underWay.allSatisfy { flights[$0.value]?.claim.sequence == $0.key },
            "what is under way is not what was claimed"
        )
    }
}
