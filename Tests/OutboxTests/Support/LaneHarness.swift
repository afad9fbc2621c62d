import DexatelAPI
import Dispatch
import GRDB
import NIOCore
import Synchronization

@testable import Outbox

/// Drives the commit thread's loop by hand over a real database, with a clock and an upstream of the test's own.
///
/// Nothing is sent unless the test claims it.
final class LaneHarness {
    let directory: TemporaryDirectory
    let upstream = HeldUpstream()
    let time = MovedTime()
    let keys = KeyRegistry(vault: Sample.vault)
    let sink = CollectingSink()
    let faults = StorageFaults()
    private(set) var storage: FaultyStorage
    private(set) var commits: CommitThread
    private(set) var engine: DeliveryEngine
    private(set) var loop: CommitLoop
    var limits: LaneLimits
    /// The contact and the sequence of each write.
    private(set) var sequences: [UInt64: Int64] = [:]
    private var nextToken: UInt64 = 1

    init(_ change: (inout LaneLimits) -> Void = { _ in }) throws {
        directory = try TemporaryDirectory()
        var limits = LaneLimits()
        change(&limits)
        self.limits = limits
        (storage, commits, engine, loop) = try Self.open(directory, limits, keys, time, upstream, faults)
        step()
    }

    deinit { storage.close() }

    private static func open(
        _ directory: TemporaryDirectory,
        _ limits: LaneLimits,
        _ keys: KeyRegistry,
        _ time: MovedTime,
        _ upstream: HeldUpstream,
        _ faults: StorageFaults
    ) throws -> (FaultyStorage, CommitThread, DeliveryEngine, CommitLoop) {
        let storage = FaultyStorage(SQLiteOutboxStorage(path: directory.database), faults)
        let opened = try storage.open(verify: false)
        try keys.load(opened.keys)
        let clock = RelayClock(
            savedRelay: opened.savedRelayClock,
            savedWall: opened.savedWallClock,
            source: time.source
        )
        let commits = CommitThread(
            settings: .init(
                stateDirectory: directory.path,
                minFreeDiskBytes: 0,
                keepReceiptsMilliseconds: 365 * 86_400_000,
                maxAgeMilliseconds: limits.maxAgeMilliseconds
            ),
            keys: keys,
            admission: Admission(maxPending: .max, maxPendingBytes: .max),
            clock: clock,
            logger: OutboxRig.logger
        )
        let engine = DeliveryEngine(
            .init(
                limits: closed(limits, 0),
                transport: upstream,
                commits: commits,
                keys: keys,
                clock: clock,
                backoffMilliseconds: { upstream.backoff($0) },
                logger: OutboxRig.logger
            ),
            opened: opened
        )
        let loop = CommitLoop(thread: commits, storage: storage, engine: engine, opened: opened)
        return (storage, commits, engine, loop)
    }

    /// Limits with which nothing is claimed beyond what is under way.
    private static func closed(_ limits: LaneLimits, _ underWay: Int) -> LaneLimits {
        var limits = limits
        (limits.maxClaimed, limits.minClaimed, limits.maxInFlight) = (0, 0, underWay)
        return limits
    }

    // MARK: - Time

    var now: RelayTime {
        get { commits.clock.now() }
        set { time.advance(milliseconds: newValue - now) }
    }

    /// The commit thread does what has gathered.
    func step() {
        loop.turn(commits.inbox.takeAll())
        var turns = 0
        // It goes on by itself while there is something to do.
        while loop.nextTurn <= .now(), turns < 100 {
            turns += 1
            loop.turn(commits.inbox.takeAll())
        }
    }

    /// The commit thread looks after what is old.
    func keepHouse() { _ = loop.keepHouse() }

    /// The commit thread opens the database again after a failure.
    func reopen() {
        loop.reopen()
        step()
    }

    /// Ends the waits whose time is up.
    func expireWaits() { engine.endWaits(now) }

    // MARK: - Writes

    func key(_ number: Int) -> KnownKey { keys.key(for: Secret("api-key-\(number)")) }

    func write(
        _ token: UInt64,
        _ contact: Int,
        key: Int = 1,
        method: WriteMethod = .put,
        wait: Int64? = nil,
        fields: [String]? = nil,
        body: String? = nil
    ) -> NewWrite {
        let members = (fields ?? []).map { "\"\($0)\":\"\(token)\"" }.joined(separator: ",")
        // One with another member sets nobody knows what.
        let text = fields == nil ? #"{"data":{},"other":1}"# : "{\"data\":{\(members)}}"
        return NewWrite(
            contact: Sample.contact(contact),
            method: method,
            payload: Sample.payload(
                method == .delete ? "" : body ?? text,
                target: Sample.contact(contact).path
            ),
            key: self.key(key),
            replyWaitMilliseconds: wait ?? 0,
            sink: sink,
            token: token
        )
    }

    /// Accepts the next write; returns its sequence.
    @discardableResult
    func accept(
        _ contact: Int,
        key: Int = 1,
        method: WriteMethod = .put,
        wait: Int64? = nil,
        fields: [String]? = nil,
        healthy: Bool = true
    ) -> Int64 {
        let token = nextToken
        let write = write(token, contact, key: key, method: method, wait: wait, fields: fields)
        submit([write], healthy: healthy)
        return sequences[token] ?? 0
    }

    func submit(_ writes: [NewWrite], healthy: Bool = true) {
        upstream.isHealthy = healthy
        let first = loop.nextSequence
        for (index, write) in writes.enumerated() {
            nextToken = max(nextToken, write.token + 1)
            sequences[write.token] = first + Int64(index)
            _ = keys.admit(write.key, maxPerUnverifiedKey: .max, maxUnverified: .max)
        }
        _ = commits.submit(writes)
        step()
        upstream.isHealthy = true
    }

    // MARK: - Attempts

    /// Claims whatever is next; its delivery.
    func claim() -> Delivery? {
        guard engine.inFlightCount < limits.maxInFlight else { return nil }
        var open = limits
        (open.maxClaimed, open.minClaimed) = (1, 1)
        engine.reload(open)
        let before = upstream.begun.count
        step()
        engine.sendReady()
        engine.reload(Self.closed(limits, engine.inFlightCount))
        return upstream.begun.count > before ? upstream.begun.last : nil
    }

    /// Claims whatever is next, which waits for the end of an attempt.
    func claimAhead() {
        var open = Self.closed(limits, engine.inFlightCount)
        (open.maxClaimed, open.minClaimed) = (1, 1)
        engine.reload(open)
        step()
    }

    func claimSequence() -> Int64? { claim()?.sequence }

    /// Everything that can be claimed now.
    func claimAll() -> [Int64] {
        var all: [Int64] = []
        while let sequence = claimSequence() { all.append(sequence) }
        return all
    }

    /// Ends the attempt of a contact, without its record being durable yet.
    func end(_ contact: Int, _ outcome: DeliveryOutcome, backoff: Int64 = 1_000) {
        upstream.setBackoff { _ in backoff }
        upstream.end(Sample.contact(contact), outcome, engine)
    }

    /// Ends the attempt of a contact and makes its record durable; what has become of the write.
    @discardableResult
    func finish(_ contact: Int, _ outcome: DeliveryOutcome, backoff: Int64 = 1_000) -> Fate? {
        upstream.setBackoff { _ in backoff }
        return finishAsIs(contact, outcome)
    }

    func finishAsIs(_ contact: Int, _ outcome: DeliveryOutcome) -> Fate? {
        guard let sequence = upstream.end(Sample.contact(contact), outcome, engine) else { return nil }
        step()
        return fate(sequence)
    }

    // MARK: - Looking

    /// What has become of a write.
    struct Fate: Equatable {
        /// Nil while it is pending.
        var state: WriteState?
        var pending: PendingWrite?
        var covered: [Int64] = []
    }

    func fate(_ sequence: Int64) -> Fate? {
        if let stored = try? storage.write(sequence), !stored.isDead { return Fate(pending: stored.write) }
        return sql { database in
            let code = try Int64.fetchOne(
                database,
                sql: "SELECT state FROM ended_write WHERE sequence = ?",
                arguments: [sequence]
            )
            guard let code else { return nil }
            let covered = try Int64.fetchAll(
                database,
                sql: "SELECT sequence FROM ended_write WHERE superseded_by = ? ORDER BY sequence",
                arguments: [sequence]
            )
            return Fate(state: WriteState(endedCode: code), covered: covered)
        }
    }

    func sql<Value>(_ body: (Database) throws -> Value?) -> Value? {
        (try? storage.inner.withConnection(body)).flatMap { $0 }.flatMap { $0 }
    }

    /// What is wrong with the database, everything counted again.
    func findings() -> [String] { sql { try SQLiteOutboxStorage.findings($0) } ?? ["it cannot be read"] }

    /// What the sender of a write was told: statuses.
    func told(_ sequence: Int64) -> [Int] {
        sequences.filter { $0.value == sequence }.flatMap { sink.answers(to: $0.key) }.map(\.status)
    }

    var waitingCount: Int { engine.waitingCount }
    var counts: WriteCounts { loop.counts }

    // MARK: - Operators

    func perform<Value: Sendable, Fault: Error>(
        _ operation: (@escaping @Sendable (Result<Value, Fault>) -> Void) -> any CommitOperation
    ) -> Result<Value, Fault>? {
        let box = ResultBox<Value, Fault>()
        commits.perform(operation { box.set($0) })
        step()
        return box.value
    }

    func change(_ change: WriteChange, _ sequences: [Int64]) -> OperationResult? {
        try? perform { ChangeWrites(change: change, sequences: sequences, engine: self.engine, done: $0) }?.get()
    }

    /// Ends a write, as an operator would; false when it is under way.
    func discard(_ sequence: Int64) -> Bool { change(.discard, [sequence])?.changed == 1 }

    func stop(_ contact: Int, _ isStopped: Bool = true) {
        let result: Result<Int, OutboxError>? = perform {
            StopContacts(contacts: [Sample.contact(contact)], isStopped: isStopped, done: $0)
        }
        _ = result
    }

    func replace(key old: Int, by new: Int) {
        guard let row = key(old).current.row else { return }
        let result: Result<Void, KeyReplacementFault>? = perform {
            ReplaceKey(row: row, new: self.key(new), done: $0)
        }
        _ = result
    }

    /// The process dies, and another one opens the outbox; what was under way is not known any more.
    func restart() throws {
        storage.close()
        upstream.forget()
        (storage, commits, engine, loop) = try Self.open(directory, limits, keys, time, upstream, faults)
        step()
    }
}

/// Keeps what an operation was told.
final class ResultBox<Value: Sendable, Fault: Error>: Sendable {
    private let result = Mutex<Result<Value, Fault>?>(nil)

    func set(_ value: Result<Value, Fault>) { result.withLock { $0 = value } }
    var value: Result<Value, Fault>? { result.withLock { $0 } }
}

/// An upstream whose replies the test gives, one by one.
final class HeldUpstream: DeliveryTransport {
    private struct State {
        var begun: [Delivery] = []
        var underWay: [ContactReference: Delivery] = [:]
        var sawOverlap = false
        var isHealthy = true
        var backoff: @Sendable (Int64) -> Int64 = { _ in 1_000 }
    }

    private let state = Mutex(State())

    var isHealthy: Bool {
        get { state.withLock { $0.isHealthy } }
        set { state.withLock { $0.isHealthy = newValue } }
    }

    /// Everything that was sent.
    var begun: [Delivery] { state.withLock { $0.begun } }
    var underWay: [ContactReference: Delivery] { state.withLock { $0.underWay } }
    /// Whether two attempts for one contact were ever under way together (P3).
    var sawOverlap: Bool { state.withLock { $0.sawOverlap } }

    func setBackoff(_ backoff: @escaping @Sendable (Int64) -> Int64) { state.withLock { $0.backoff = backoff } }
    func backoff(_ attempts: Int64) -> Int64 { state.withLock { $0.backoff }(attempts) }

    func admit(_ contact: ContactReference) -> DeliveryAdmission { .go(DeliveryPermit(0)) }
    func release(_ permit: DeliveryPermit) {}

    func begin(_ deliveries: [Delivery], for receiver: any DeliveryReceiver) {
        state.withLock { state in
            for delivery in deliveries {
                state.begun.append(delivery)
                if state.underWay[delivery.contact] != nil { state.sawOverlap = true }
                state.underWay[delivery.contact] = delivery
            }
        }
    }

    /// Ends the attempt of a contact; the sequence of its write.
    @discardableResult
    func end(_ contact: ContactReference, _ outcome: DeliveryOutcome, _ receiver: any DeliveryReceiver) -> Int64? {
        guard let delivery = state.withLock({ $0.underWay.removeValue(forKey: contact) }) else { return nil }
        receiver.ended([DeliveryEnd(sequence: delivery.sequence, outcome: outcome)])
        return delivery.sequence
    }

    /// Nothing is under way any more.
    func forget() { state.withLock { $0.underWay = [:] } }
}
