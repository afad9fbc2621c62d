package import DexatelAPI
import Foundation

/// What operators do with the queue (design §2.2): every change goes through the commit thread, keeps the books, and is
/// durable when its call returns.
extension Outbox {
    /// Writes that one page of a listing holds at most.
    package static let maxPageWrites = 1_000
    /// Writes that one transaction of a command changes at most, so that senders hardly wait.
    static let maxChangedWrites = 256

    // MARK: - Looking

    /// A part of what a selection finds, in the order of sequence.
    ///
    /// - Parameter sequence: Where the last page ended (`WritePage.next`); 0 for the first.
    package func list(_ selection: WriteSelection, after sequence: Int64 = 0, limit: Int) async throws -> WritePage {
        let page = try await engine.reader.page(
            selection,
            after: sequence,
            limit: min(max(limit, 1), Self.maxPageWrites),
            wallNow: clock.wallNow()
        )
        let entries = page.entries.map(seenFromMemory)
        let isMeant = { (state: WriteState) in selection.states.isEmpty || selection.states.contains(state) }
        return WritePage(writes: entries.filter { isMeant($0.receipt.state) }, next: page.next)
    }

    /// A write with all that is kept of it; nil when nobody knows it.
    package func show(_ id: WriteID) async throws -> WriteDetails? {
        guard var details = try await engine.reader.details(id.sequence), details.entry.receipt.id == id else {
            return nil
        }
        details.entry = seenFromMemory(details.entry)
        return details
    }

    /// What the database has as pending may be under way.
    private func seenFromMemory(_ entry: WriteEntry) -> WriteEntry {
        guard !entry.receipt.state.hasEnded else { return entry }
        var entry = entry
        if engine.isInFlight(entry.receipt.id.sequence) { entry.receipt.state = .inFlight }
        return entry
    }

    // MARK: - Changing

    /// Sends dead writes again (`WriteChange.retry`).
    package func retry(_ selection: WriteSelection, isForced: Bool = false) async throws -> OperationResult {
        try await changeAll(selection, .retry(isForced: isForced))
    }

    /// Lets held writes go (`WriteChange.release`).
    package func release(_ selection: WriteSelection, isForced: Bool = false) async throws -> OperationResult {
        try await changeAll(selection, .release(isForced: isForced))
    }

    /// Ends writes that have not been delivered, for good (`WriteChange.discard`).
    package func discard(_ selection: WriteSelection) async throws -> OperationResult {
        try await changeAll(selection, .discard)
    }

    private func changeAll(_ selection: WriteSelection, _ change: WriteChange) async throws -> OperationResult {
        var result = OperationResult()
        var after: Int64? = 0
        while let sequence = after {
            let part = try await self.change(selection, change, after: sequence)
            result.add(part.result)
            after = part.next
        }
        return result
    }

    /// Changes the first `maxChangedWrites` of a selection behind a sequence, in one transaction.
    package func change(
        _ selection: WriteSelection,
        _ change: WriteChange,
        after sequence: Int64
    ) async throws -> WriteChangePart {
        guard let selection = change.narrowed(selection) else {
            return WriteChangePart(result: OperationResult(), next: nil)
        }
        let page = try await list(selection, after: sequence, limit: Self.maxChangedWrites)
        let sequences = page.writes.map(\.receipt.id.sequence)
        guard !sequences.isEmpty else { return WriteChangePart(result: OperationResult(), next: page.next) }
        let result: OperationResult = try await perform { [engine] done in
            ChangeWrites(change: change, sequences: sequences, engine: engine, done: done)
        }
        return WriteChangePart(result: result, next: page.next)
    }

    /// The contacts that operators have stopped, and since when: wall clock, milliseconds since 1970.
    package func stoppedContacts() async throws -> [StoppedContact] {
        try await engine.reader.stoppedContacts()
    }

    /// Stops contacts: nothing but what is under way is sent for them, over restarts too, until they are released.
    ///
    /// - Returns: How many were not stopped before.
    @discardableResult
    package func hold(_ contacts: [ContactReference]) async throws -> Int { try await stop(contacts, true) }

    /// Lets stopped contacts go; their writes go on in their order.
    ///
    /// - Returns: How many were stopped.
    @discardableResult
    package func release(_ contacts: [ContactReference]) async throws -> Int { try await stop(contacts, false) }

    private func stop(_ contacts: [ContactReference], _ isStopped: Bool) async throws -> Int {
        var changed = 0
        for start in stride(from: 0, to: contacts.count, by: StopContacts.maxContacts) {
            let part = Array(contacts[start..<min(start + StopContacts.maxContacts, contacts.count)])
            changed += try await perform { StopContacts(contacts: part, isStopped: isStopped, done: $0) }
        }
        return changed
    }

    /// Has something done on the commit thread, and waits until it is durable.
    func perform<Value: Sendable, Fault: Error>(
        _ operation: (@escaping @Sendable (Result<Value, Fault>) -> Void) -> any CommitOperation
    ) async throws -> Value {
        try await withCheckedThrowingContinuation { continuation in
            commits.perform(operation { continuation.resume(with: $0.mapError { $0 as any Error }) })
        }
    }

    // MARK: - Telling deaths

    /// Dead writes that nobody was told of yet, and that are due to be told (`writes.on_dead_url`).
    package func untoldDeadWrites(limit: Int) async throws -> [DeadWrite] {
        try await engine.reader.untoldDeadWrites(now: clock.now(), limit: min(limit, Self.maxPageWrites))
    }

    /// How many dead writes nobody was told of, due or not.
    package func untoldDeadWriteCount() async throws -> Int { try await engine.reader.untoldCount() }

    /// Somebody has been told of these deaths; a write that has died again since is still to be told of.
    package func markTold(_ dead: [DeadWrite]) async throws {
        let deaths = dead.map(\.death)
        try await perform { NoteTold(deaths: deaths, retryAt: nil, done: $0) }
    }

    /// Telling these has failed; they are due again after so many milliseconds, over a restart too.
    package func tellLater(_ dead: [DeadWrite], milliseconds: Int64) async throws {
        let (deaths, retryAt) = (dead.map(\.death), clock.now() + milliseconds)
        try await perform { NoteTold(deaths: deaths, retryAt: retryAt, done: $0) }
    }

    // MARK: - Checking

    /// Looks through the whole database for damage, and counts everything again; what is wrong, if anything.
    ///
    /// It reads over a connection of its own, so that nobody waits for it.
    package func check() async throws -> [String] {
        try await Self.findings(inDatabase: configuration.databasePath)
    }

    /// The same for the outbox of a state directory that no daemon runs on.
    ///
    /// It keeps a daemon out meanwhile, and throws `.alreadyRunning` when there is one.
    ///
    /// - Returns: Nil when there is no outbox, and has been none.
    package static func check(stateDirectory: String) async throws -> [String]? {
        let path = OutboxConfiguration(stateDirectory: stateDirectory).databasePath
        guard FileManager.default.fileExists(atPath: stateDirectory) else { return nil }
        guard try SQLiteOutboxStorage(path: path).presence() == .database else { return nil }
        let lock = try StateLock(stateDirectory: stateDirectory)
        try SQLiteOutboxStorage(path: path).makeRoom()
        var found = try await findings(inDatabase: path)
        do {
            _ = try SQLiteOutboxStorage(path: path).storedSecrets()
        } catch let error as OutboxError where error.code == .damaged {
            // What only the mark shows.
            if found.isEmpty { found = [error.message] }
        }
        _ = consume lock
        return found
    }

    private static func findings(inDatabase path: String) async throws -> [String] {
        let reader = try SQLiteOutboxReader(path: path)
        defer { reader.close() }
        return try await reader.check()
    }
}
