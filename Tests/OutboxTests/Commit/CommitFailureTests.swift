import DexatelAPI
import Foundation
import GRDB
import Synchronization
import TestSupport
import Testing

@testable import Outbox

/// What happens when the database cannot be written (design §8, P1).
@Suite struct CommitFailureTests {
    /// How a commit fails.
    enum Failure: Sendable, CaseIterable {
        /// Nothing of it is on disk.
        case lost
        /// All of it is on disk, but nobody was told.
        case kept
    }

    private let directory: TemporaryDirectory

    init() throws { directory = try TemporaryDirectory() }

    @Test(arguments: Failure.allCases)
    func `after failed commits nothing acknowledged is lost, and everything goes on by itself`(
        _ failure: Failure
    ) async throws {
        let faults = StorageFaults()
        let transport = ScriptedTransport { _, number in number % 7 == 3 ? Sample.outcome(500) : Sample.outcome(200) }
        let rig = try EngineRig(directory, transport, faults)
        var token: UInt64 = 0
        func submit(_ count: Int) {
            for _ in 0..<count {
                token += 1
                rig.submit(token, Int(token % 10), wait: token % 2 == 0 ? 60_000 : 0)
            }
        }
        submit(50)
        try await rig.sink.waitForAnswers(50)
        for _ in 1...2 {
            faults.fail(next: 2, as: failure)
            while faults.pendingFailures > 0 {
                submit(50)
                try await rig.sink.waitForAnswers(Int(token))
            }
            try await eventually("the outbox to work again") { rig.commits.currentHealth == .working }
        }
        submit(50)
        try await rig.sink.waitForAnswers(Int(token))
        try await eventually("everything to end") { rig.admission.committed.pending == 0 }
        let answers = rig.sink.all
        #expect(answers.count == Int(token))
        #expect(answers.values.allSatisfy { $0.count == 1 }, "exactly one answer each")
        #expect(answers.values.contains { $0[0].status == 503 }, "the failure was felt")
        let told = answers.values.compactMap { $0[0].writeID }
        for id in told {
            #expect(try await rig.engine.reader.receipt(id)?.state == .delivered)
        }
        let counts = rig.admission.committed
        #expect(counts.isBalanced && counts.delivered == counts.accepted)
        if failure == .lost { #expect(counts.accepted == Int64(told.count), "a 503 was no acceptance") }
        #expect(counts.accepted >= Int64(told.count))
        #expect(rig.key.current.pending == 0)
        #expect(!transport.sawOverlap)
        await rig.stop()
    }

    @Test func `the commit thread turns while it verifies a large database, so that no watchdog kills it`() async throws
    {
        let faults = StorageFaults()
        let rig = try EngineRig(directory, ScriptedTransport { _, _ in Sample.outcome(200) }, faults)
        rig.submit(1, 1, wait: 0)
        try await rig.sink.waitForAnswers(1)
        faults.isVerifying.store(true, ordering: .relaxed)
        faults.fail(next: 1, as: .lost)
        rig.submit(2, 2, wait: 0)
        try await rig.sink.waitForAnswers(2)
        // Far more often than it turns in the time that a test may take, were it not for the verifying.
        let turns = rig.commits.turns
        try await eventually("turns") { rig.commits.turns > turns + 10_000 }
        guard case .failed = rig.commits.currentHealth else {
            Issue.record("it works again already")
            return
        }
        faults.isVerifying.store(false, ordering: .relaxed)
        try await eventually("the outbox to work again") { rig.commits.currentHealth == .working }
        await rig.stop()
    }

    @Test func `verifying makes progress that can be seen, and what was found whole is not verified again`()
        async throws
    {
        let storage = SQLiteOutboxStorage(path: directory.database)
        _ = try storage.open(verify: false)
        var books = StorageBooks()
        for number in 0..<3_000 { _ = books.accept(number, payload: Sample.payload("{}")) }
        _ = try storage.commit(books.take())
        var signs = 0
        storage.progress = { signs += 1 }
        storage.progressSteps = 1_000
        _ = try storage.open(verify: false)
        let unverified = signs
        // Somebody who reads keeps the log from being emptied.
        var configuration = GRDB.Configuration()
        configuration.allowsUnsafeTransactions = true
        let reader = try DatabaseQueue(path: directory.database, configuration: configuration)
        try await reader.writeWithoutTransaction { try $0.execute(sql: "BEGIN; SELECT * FROM books") }
        _ = try storage.commit(books.take())
        signs = 0
        #expect(throws: OutboxError.self) { try storage.open(verify: true) }
        #expect(signs > unverified + 50, "rows and pages were looked through")
        signs = 0
        #expect(throws: OutboxError.self) { try storage.open(verify: true) }
        #expect(signs <= unverified, "it was whole")
        try await reader.writeWithoutTransaction { try $0.execute(sql: "ROLLBACK") }
        #expect(try storage.open(verify: true).counts.pending == 3_000)
        #expect(signs <= 2 * unverified)
        signs = 0
        _ = try storage.open(verify: true)
        #expect(signs > unverified + 50, "another failure is another matter")
        signs = 0
        _ = try storage.commit(books.take())
        #expect(signs == 0, "only opening is told of")
        try reader.close()
        storage.close()
    }

    @Test func `a contact that is stopped between reopening the database and loading memory again stays stopped`()
        async throws
    {
        let faults = StorageFaults()
        let gate = Gate()
        let transport = ScriptedTransport { attempt, _ in
            if attempt.contact == Sample.contact(1) { await gate.pass() }
            return Sample.outcome(200)
        }
        let rig = try EngineRig(directory, transport, faults)
        rig.submit(1, 1, wait: 0)
        try await eventually("an attempt") { gate.waitingCount == 1 }
        faults.fail(next: 1, as: .lost)
        rig.submit(2, 2, wait: 0)
        try await rig.sink.waitForAnswers(2)
        try await eventually("the outbox to work again") { rig.commits.currentHealth == .working }
        // Memory is loaded again when the attempt has ended.
        let stops = Mutex(0)
        rig.commits.perform(
            StopContacts(contacts: [Sample.contact(3)], isStopped: true) { _ in
                stops.withLock { $0 += 1 }
            }
        )
        try await eventually("the contact to be stopped") { stops.withLock { $0 } == 1 }
        rig.submit(3, 3, wait: 0)
        try await rig.sink.waitForAnswers(3)
        gate.open()
        try await eventually("the other to be delivered") { rig.admission.committed.delivered == 1 }
        try await eventually("the write to be held") { rig.admission.committed.held == 1 }
        #expect(!transport.attempts.contains { $0.contact == Sample.contact(3) })
        #expect(rig.admission.committed.isBalanced)
        await rig.stop()
    }

    @Test func `stopping does not wait for a database that stays broken`() async throws {
        let faults = StorageFaults()
        let gate = Gate()
        let transport = ScriptedTransport { _, _ in
            await gate.pass()
            return Sample.outcome(200)
        }
        let rig = try EngineRig(directory, transport, faults)
        rig.submit(1, 1, wait: 60_000)
        try await eventually("an attempt") { gate.waitingCount == 1 }
        faults.fail(next: .max, as: .lost)
        rig.engine.stop()
        #expect(rig.sink.answers(to: 1).map(\.status) == [202])
        gate.open()
        await rig.stop()
        let storage = SQLiteOutboxStorage(path: directory.database)
        #expect(try storage.open(verify: true).counts.pending == 1, "it is sent again after the next start")
        storage.close()
    }
}

/// Decides which commits fail.
final class StorageFaults: Sendable {
    private let state = Mutex<(count: Int, failure: CommitFailureTests.Failure)>((0, .lost))

    /// Whether the database is still being looked through, for as long as the test wants.
    let isVerifying = Atomic<Bool>(false)

    /// Whether the disk is full, but for the room that was kept.
    let isDiskFull = Atomic<Bool>(false)

    var pendingFailures: Int { state.withLock { $0.count } }

    func fail(next count: Int, as failure: CommitFailureTests.Failure) {
        state.withLock { $0 = (count, failure) }
    }

    func take() -> CommitFailureTests.Failure? {
        state.withLock { state in
            guard state.count > 0 else { return nil }
            if state.count != .max { state.count -= 1 }
            return state.failure
        }
    }
}

/// A storage whose commits fail when told to, around a real one.
final class FaultyStorage: OutboxStorage {
    let inner: SQLiteOutboxStorage
    private var storage: SQLiteOutboxStorage { inner }
    private let faults: StorageFaults
    private var isReserveKept = true

    init(_ storage: SQLiteOutboxStorage, _ faults: StorageFaults) {
        inner = storage
        self.faults = faults
    }

    var progress: () -> Void {
        get { storage.progress }
        set { storage.progress = newValue }
    }

    func open(verify: Bool) throws -> OpenedOutbox {
        while verify, faults.isVerifying.load(ordering: .relaxed) { storage.progress() }
        if verify, faults.pendingFailures == .max { throw OutboxError(.storage, "still broken") }
        return try storage.open(verify: verify)
    }

    func commit(_ transaction: OutboxTransaction) throws -> CommitResult {
        // Housekeeping has nothing that could be lost.
        let isWork =
            !transaction.accepts.isEmpty || !transaction.ends.isEmpty || !transaction.attempts.isEmpty
            || !transaction.moves.isEmpty || !transaction.revivals.isEmpty
        if isWork, isReserveKept, faults.isDiskFull.load(ordering: .sequentiallyConsistent) {
            throw DatabaseError(resultCode: .SQLITE_FULL)
        }
        guard isWork, let failure = faults.take() else { return try storage.commit(transaction) }
        if failure == .kept { _ = try storage.commit(transaction) }
        throw OutboxError(.storage, "an injected failure")
    }

    func hasReceipts(endedBefore: RelayTime) throws -> Bool { try storage.hasReceipts(endedBefore: endedBefore) }
    func writes(_ selection: StoredSelection, limit: Int) throws -> [StoredWrite] {
        try storage.writes(selection, limit: limit)
    }
    func write(_ sequence: Int64) throws -> StoredWrite? { try storage.write(sequence) }
    func nextHeldWriteDue() throws -> RelayTime? { try storage.nextHeldWriteDue() }
    func order(of contact: ContactReference) throws -> ContactOrder? { try storage.order(of: contact) }
    func write(idempotency: [UInt8]) throws -> (receipt: Receipt, content: [UInt8])? {
        try storage.write(idempotency: idempotency)
    }
    func claim(
        keyRow: Int64,
        due: LaneTurn?,
        _ take: (ContactReference, () throws -> StoredWrite) throws -> Bool
    ) throws -> Bool { try storage.claim(keyRow: keyRow, due: due, take) }
    func nextTurn(keyRow: Int64, after: LaneTurn?) throws -> LaneTurn? {
        try storage.nextTurn(keyRow: keyRow, after: after)
    }
    func heads(of contact: ContactReference) throws -> [LaneHead] { try storage.heads(of: contact) }
    func followers(of write: PendingWrite, before: Int64?, _ take: (PendingWrite) -> Bool) throws {
        try storage.followers(of: write, before: before, take)
    }
    func nextSequence(_ contact: ContactReference, keyRow: Int64, after sequence: Int64) throws -> Int64? {
        try storage.nextSequence(contact, keyRow: keyRow, after: sequence)
    }
    func lanes(keyRow: Int64, after: (turn: Int64, sequence: Int64), limit: Int) throws -> [LaneHead] {
        try storage.lanes(keyRow: keyRow, after: after, limit: limit)
    }
    func lanesWaitingForUpstream(limit: Int) throws -> [LaneHead] { try storage.lanesWaitingForUpstream(limit: limit) }
    func pendingContacts(after bytes: [UInt8], isHeld: Bool, limit: Int) throws
        -> [(contact: ContactReference, count: Int)]
    { try storage.pendingContacts(after: bytes, isHeld: isHeld, limit: limit) }
    func oldWrites(acceptedBefore: RelayTime, after sequence: Int64) throws -> (writes: [PendingWrite], next: Int64?) {
        try storage.oldWrites(acceptedBefore: acceptedBefore, after: sequence)
    }
    func laneCounts(of contact: ContactReference) throws -> [Int64: Int64] { try storage.laneCounts(of: contact) }
    func idleKeys(since: RelayTime, limit: Int) throws -> [Int64] { try storage.idleKeys(since: since, limit: limit) }
    func forgettableKeys(unverifiedSince: RelayTime, since: RelayTime, limit: Int) throws -> [Int64] {
        try storage.forgettableKeys(unverifiedSince: unverifiedSince, since: since, limit: limit)
    }
    func idleUnverifiedKeys(limit: Int) throws -> [Int64] { try storage.idleUnverifiedKeys(limit: limit) }
    func forgetKeys(_ rows: [Int64]) throws -> Int64 { try storage.forgetKeys(rows) }
    func emptyLog() throws -> Bool { try storage.emptyLog() }
    func reseal(_ vault: StoredVault, _ keys: [OutboxTransaction.KeyRow]) throws { try storage.reseal(vault, keys) }

    func look() throws(FilesFault) { try storage.look() }
    func settle() { storage.settle() }
    func fillReserve() -> Bool {
        isReserveKept = !faults.isDiskFull.load(ordering: .sequentiallyConsistent) && storage.fillReserve()
        return isReserveKept
    }
    func releaseReserve() -> Bool {
        isReserveKept = false
        return storage.releaseReserve()
    }
    func closeWriter() { storage.closeWriter() }

    func close() { storage.close() }
}

/// Commit thread and engine over a storage that can be made to fail.
final class EngineRig: Sendable {
    let commits: CommitThread
    let engine: DeliveryEngine
    let admission = Admission(maxPending: 100_000, maxPendingBytes: 1 << 30)
    let keys = KeyRegistry(vault: Sample.vault)
    let key: KnownKey
    let sink = CollectingSink()
    private let runner: Task<Void, Never>

    init(_ directory: TemporaryDirectory, _ transport: ScriptedTransport, _ faults: StorageFaults) throws {
        let storage = FaultyStorage(SQLiteOutboxStorage(path: directory.database), faults)
        let opened = try storage.open(verify: false)
        try keys.load(opened.keys)
        key = keys.key(for: Secret("api-key"))
        let clock = RelayClock(savedRelay: opened.savedRelayClock, savedWall: opened.savedWallClock)
        let commits = CommitThread(
            settings: .init(stateDirectory: directory.path, minFreeDiskBytes: 0, keepReceiptsMilliseconds: 86_400_000),
            keys: keys,
            admission: admission,
            clock: clock,
            logger: OutboxRig.logger
        )
        let engine = DeliveryEngine(
            .init(
                limits: LaneLimits(),
                transport: transport,
                commits: commits,
                keys: keys,
                clock: clock,
                backoffMilliseconds: { _ in 1 },
                logger: OutboxRig.logger
            ),
            opened: opened
        )
        commits.start(storage, opened: opened, engine: engine)
        (self.commits, self.engine) = (commits, engine)
        runner = Task { await engine.run() }
    }

    /// Past the health check, as a write that was on its way when the database failed.
    func submit(_ token: UInt64, _ contact: Int, wait: Int64) {
        let write = NewWrite(
            contact: Sample.contact(contact),
            method: .put,
            payload: Sample.payload("{}"),
            key: key,
            replyWaitMilliseconds: wait,
            sink: sink,
            token: token
        )
        guard admission.admit(bytes: write.admittedBytes),
            keys.admit(key, maxPerUnverifiedKey: 100_000, maxUnverified: 100_000) == nil, commits.submit([write])
        else { return sink.take([(token, .unavailable(.stopping))]) }
    }

    func stop() async {
        engine.stop()
        await runner.value
        await commits.stop()
    }
}
