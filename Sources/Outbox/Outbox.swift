package import DexatelAPI
import Foundation
package import Logging
import Synchronization

/// The store-and-forward half of the relay: it commits contact writes, answers, and delivers them (design §3, §8).
package final class Outbox: Sendable {
    var configuration: OutboxConfiguration { current.withLock { $0 } }
    private let current: Mutex<OutboxConfiguration>
    private let admission: Admission
    let commits: CommitThread
    let engine: DeliveryEngine
    let clock: RelayClock
    /// The API keys that the relay knows.
    package let keys: KeyRegistry

    private init(
        configuration: OutboxConfiguration,
        admission: Admission,
        commits: CommitThread,
        engine: DeliveryEngine,
        clock: RelayClock,
        keys: KeyRegistry
    ) {
        current = Mutex(configuration)
        self.admission = admission
        self.commits = commits
        self.engine = engine
        self.clock = clock
        self.keys = keys
    }

    /// Opens and recovers the outbox of a state directory, which the caller has locked with `StateLock`.
    ///
    /// - Parameters:
    ///   - backoffMilliseconds: The full-jitter delay for an attempt count.
    ///   - time: The clocks that ages, expiry and retention go by.
    package static func open(
        _ configuration: OutboxConfiguration,
        transport: any DeliveryTransport,
        backoffMilliseconds: @escaping @Sendable (Int64) -> Int64,
        time: RelayClock.Source = .host,
        logger: Logger
    ) throws -> Outbox {
        let storage = SQLiteOutboxStorage(path: configuration.databasePath)
        let secrets = try storage.storedSecrets()
        let masterKeys = try MasterKeys.load(
            stateDirectory: configuration.stateDirectory,
            credentialsDirectory: configuration.credentialsDirectory,
            mayCreate: secrets.isEmpty
        )
        let (vault, previousVault) = try KeyVault.unlock(secrets, masterKeys)
        let keys = KeyRegistry(vault: vault, previousVault: previousVault)
        try keys.load(secrets.keys)
        let damageOfLog = storage.damageOfLog()
        let opened = try storage.open(verify: false)
        if let damageOfLog {
            // The torn end of a transaction that nobody heard of looks the same.
            logger.error(
                "the end of the outbox's log is damaged; nothing that is known to have been committed is missing",
                metadata: ["error": "\(damageOfLog)"]
            )
        }
        // A migration may have found out more about them.
        try keys.load(opened.keys)
        if secrets.vault == nil || previousVault != nil {
            let resealed = try keys.resealed(secrets.keys)
            try storage.reseal(try vault.stored(), resealed)
            if previousVault != nil {
                logger.notice(
                    "the API keys are sealed under the new master key; the previous one is not needed any more",
                    metadata: ["keys": "\(resealed.count)"]
                )
            }
        }
        let clock = RelayClock(savedRelay: opened.savedRelayClock, savedWall: opened.savedWallClock, source: time)
        let admission = Admission(
            maxPending: configuration.maxPending,
            maxPendingBytes: configuration.maxPendingBytes
        )
        let commits = CommitThread(
            settings: configuration.commitSettings,
            keys: keys,
            admission: admission,
            clock: clock,
            logger: logger
        )
        let engine = DeliveryEngine(
            DeliveryEngine.Parts(
                limits: configuration.laneLimits,
                transport: transport,
                commits: commits,
                keys: keys,
                clock: clock,
                backoffMilliseconds: backoffMilliseconds,
                logger: logger
            ),
            opened: opened
        )
        commits.start(storage, opened: opened, engine: engine)
        return Outbox(
            configuration: configuration,
            admission: admission,
            commits: commits,
            engine: engine,
            clock: clock,
            keys: keys
        )
    }

    /// Makes the state directory, for its owner alone (0700), if it is not there.
    package static func makeStateDirectory(_ path: String) throws(OutboxError) {
        do {
            try FileManager.default.createDirectory(
                atPath: path,
                withIntermediateDirectories: true,
                attributes: [.posixPermissions: 0o700]
            )
        } catch {
            throw OutboxError(.storage, "cannot make the state directory \(path): \(error.localizedDescription)")
        }
    }

    /// Takes other bounds and delays; the state directory and what PUT means stay what they are.
    package func reload(_ configuration: OutboxConfiguration) {
        let configuration = current.withLock { current in
            let (directory, credentials, semantics) =
                (current.stateDirectory, current.credentialsDirectory, current.putSemantics)
            current = configuration
            (current.stateDirectory, current.credentialsDirectory, current.putSemantics) =
                (directory, credentials, semantics)
            return current
        }
        admission.setLimits(maxPending: configuration.maxPending, maxPendingBytes: configuration.maxPendingBytes)
        commits.reload(configuration.commitSettings)
        engine.reload(configuration.laneLimits)
    }

    // MARK: - Writes

    /// Makes room for a checked write, which has to be handed to `submitAdmitted` then; or says why there is none.
    package func admit(_ write: NewWrite) -> OutboxUnavailability? {
        admit(key: write.key, bytes: write.admittedBytes)
    }

    /// Makes room for one write of a key.
    func admit(key: KnownKey, bytes: Int) -> OutboxUnavailability? {
        switch commits.currentHealth {
        case .working: break
        case .diskLow: return .diskLow
        case .failed, .filesLost: return .storageFailed
        }
        guard !commits.isStopping else { return .stopping }
        let configuration = configuration
        guard key.deadCount < configuration.maxDead else { return .deadLimit }
        guard admission.admit(bytes: bytes) else { return .queueFull }
        let refusal = keys.admit(
            key,
            maxPerUnverifiedKey: configuration.maxPendingUnverifiedPerKey,
            maxUnverified: configuration.maxPendingUnverified,
            maxUnverifiedKeys: configuration.maxUnverifiedKeys
        )
        if refusal != nil { admission.release(writes: 1, bytes: bytes) }
        return refusal
    }

    /// Takes back the room of writes that are in the books now, or will not be.
    func release(admittedBytes: [Int]) {
        admission.release(writes: admittedBytes.count, bytes: admittedBytes.reduce(0, +))
    }

    /// Takes writes that were admitted, all at once; their sinks then get exactly one answer for each.
    package func submitAdmitted(_ writes: [NewWrite]) {
        guard !commits.submit(writes) else { return }
        var answers = AnswerBatches()
        for write in writes {
            keys.release(write.key)
            admission.release(writes: 1, bytes: write.admittedBytes)
            answers.add(write.sink, write.token, .unavailable(.stopping))
        }
        answers.send()
    }

    /// Has the sender of a write that is not taken told of the write that it repeats: its sink gets exactly one answer,
    /// `.repeated`, `.idempotencyConflict`, `.notRepeated`, or `.unavailable` if nobody can say.
    ///
    /// What was submitted before is known by then.
    package func findRepetition(of write: NewWrite) {
        commits.perform(FindRepetition(write: write))
    }

    /// The receipt of a write, for the key that made it; nil for any other key and for writes that are not known.
    package func receipt(_ id: WriteID, for key: KnownKey) async throws -> Receipt? {
        guard var receipt = try await engine.reader.receipt(id), owns(key, receipt) else { return nil }
        if !receipt.state.hasEnded {
            if engine.isInFlight(id.sequence) { receipt.state = .inFlight }
        }
        return receipt
    }

    /// Whether a receipt is for this key: it made the write, or replaces the one that did.
    private func owns(_ key: KnownKey, _ receipt: Receipt) -> Bool {
        receipt.keyFingerprint == key.fingerprint || keys.isHeir(key, of: receipt.keyFingerprint)
    }

    /// How many dead writes a contact has by a key, or by one that it replaces: for `Contact-Relay-Dead` (design §3.5).
    ///
    /// O(1), from memory.
    package func deadCount(_ contact: ContactReference, of key: KnownKey) -> Int {
        guard key.deadCount > 0, let row = key.current.row else { return 0 }
        return commits.deadCounts.count(contact, keyRows: keys.rows(of: row))
    }

    /// Has somebody told of each write that dies from now on, once that is durable: for the webhook.
    ///
    /// Called on the commit thread, and must not block it; after a crash in between nobody is told again, but
    /// `untoldDeadWrites` still has it.
    package func setDeathObserver(_ observer: @escaping @Sendable (WriteID) -> Void) {
        commits.setDeathObserver(observer)
    }

    /// Whether a contact may have committed writes that are pending, so that nothing else may overtake them (design §3.1).
    ///
    /// False is certain; whether it has is for `hasPending` to say. O(1), from memory.
    package func mayHavePending(_ contact: ContactReference) -> Bool { commits.contacts.mayContain(contact) }

    /// Looks whether a contact has committed writes that are pending, and says so on any thread; what cannot be read counts
    /// as pending.
    package func lookForPending(
        _ contact: ContactReference,
        _ found: @escaping @Sendable (Bool) -> Void
    ) {
        let reader = engine.reader
        Task {
            do {
                found(try await reader.hasPending(contact))
            } catch {
                found(true)
            }
        }
    }

    /// Whether reads with a key may have pending writes of a contact to show, held ones included.
    ///
    /// False where there is something only for what no sender has been told of yet. O(1).
    package func mayHavePending(_ contact: ContactReference, of key: KnownKey) -> Bool {
        key.pendingCount > 0 && mayHavePending(contact)
    }

    /// The pending writes of one key to some contacts, in order; `maxChangesPerContact` of each at most.
    ///
    /// What was held is left out as far as later deliveries have overtaken it: by the replay rule it will not be sent
    /// (design §3.3), and a read must not show it over what is newer.
    ///
    /// Read from the database, so that nothing is to be kept in memory for it.
    package func pendingWrites(to contacts: [ContactReference], of key: KnownKey) async throws -> PendingContactWrites {
        // What was pending of a key that was replaced is its successor's.
        guard let row = key.current.row, !key.current.isReplaced else { return PendingContactWrites() }
        return try await engine.reader.pendingWrites(
            to: contacts,
            keyRows: keys.rows(of: row),
            semantics: configuration.putSemantics,
            limit: Self.maxChangesPerContact,
            maxBytes: Self.maxChangeBytes
        )
    }

    /// Pending writes of one contact that a read lays over its reply at most, the newest of them.
    package static let maxChangesPerContact = 1_024
    /// Bytes of their bodies that one read takes into memory at most.
    static let maxChangeBytes = 4 << 20

    /// Has somebody told of everything that reads have to show.
    package func setChangeObserver(_ observer: any OutboxChangeObserver) {
        engine.setChangeObserver(observer)
    }

    // MARK: - Running

    /// Delivers until `stop`.
    package func run() async {
        let look = Task { await lookForDamage() }
        await engine.run()
        look.cancel()
    }

    /// Sends nothing new, and makes `run` return when the attempts under way have ended.
    package func stop() {
        engine.stop()
    }

    /// Commits what has been submitted and closes the database; to be called once `run` has returned.
    package func close() async {
        await commits.stop()
    }

    /// The breaker has opened, or the upstream cannot be reached: senders who wait are told 202.
    package func upstreamLost() {
        engine.upstreamLost()
    }

    /// The breaker has closed.
    package func upstreamRecovered() {
        engine.upstreamRecovered()
    }

    // MARK: - Status

    /// The books as of the last commit (P2).
    package var committedCounts: WriteCounts { admission.committed }

    /// Whether commits work.
    package var health: OutboxStatus.Health {
        switch commits.currentHealth {
        case .working: .working
        case .diskLow(let freeBytes): .diskLow(freeBytes: freeBytes)
        case .failed(let message): .failed(message)
        case .filesLost(let message): .filesLost(message)
        }
    }

    /// How often the commit thread and the delivery engine have turned, for the watchdog.
    package struct Turns: Sendable, Equatable {
        /// Turns of the commit thread; it turns at least once in about a second.
        package var commits: UInt64
        /// Turns of the delivery engine; it turns after each `nudge`.
        package var deliveries: UInt64
        /// Since when the oldest attempt has been under way.
        package var oldestAttemptBegan: ContinuousClock.Instant?
    }

    /// Deliveries that are under way.
    package var attemptsUnderWay: Int { engine.inFlightCount }

    /// How often the two have turned by now.
    package var turns: Turns {
        Turns(commits: commits.turns, deliveries: engine.turns, oldestAttemptBegan: engine.oldestAttemptBegan)
    }

    /// Makes the delivery engine look for something to do.
    package func nudge() { engine.wake() }

    /// How the outbox does; reads the oldest pending write from the database.
    package func status() async -> OutboxStatus {
        let oldest = try? await engine.reader.oldestPendingAcceptedClock()
        var counts = admission.committed
        let (inFlight, inFlightOfHeldKeys) = engine.inFlightCounts
        // What probes a held key is in flight, and held no longer than until then.
        counts.held = max(0, min(counts.held - Int64(inFlightOfHeldKeys), counts.pending - Int64(inFlight)))
        return OutboxStatus(
            health: health,
            counts: counts,
            transitions: commits.transitions.withLock { $0 },
            inFlight: inFlight,
            waiting: engine.waitingCount,
            oldestPendingAgeMilliseconds: oldest.flatMap { $0 }.map { max(0, clock.now() - $0) },
            pause: engine.pause,
            upstreamPauseMilliseconds: engine.upstreamPauseMilliseconds
        )
    }
}

/// How the outbox does.
package struct OutboxStatus: Sendable, Equatable {
    /// Whether commits work.
    package enum Health: Sendable, Equatable {
        /// They do.
        case working
        /// Writes are refused: less than `writes.min_free_disk` is free.
        case diskLow(freeBytes: Int64)
        /// Writes are refused until the database has been reopened and verified.
        case failed(String)
        /// Writes are refused: the files of the outbox were deleted, moved or replaced while it has them open. What was
        /// acknowledged is delivered out of those that are open.
        case filesLost(String)
    }

    /// Whether commits work.
    package var health: Health
    /// The books (P2).
    package var counts: WriteCounts
    /// What has happened since the daemon started.
    package var transitions: WriteTransitions
    /// Writes that are being sent just now; a part of pending.
    package var inFlight: Int
    /// Senders that wait for the upstream's reply just now.
    package var waiting: Int
    /// How old the oldest pending write is, by the relay's clock, in milliseconds.
    package var oldestPendingAgeMilliseconds: Int64?
    /// Who has paused deliveries.
    package var pause = DeliveryPause.none
    /// For how long the upstream still wants to be left alone, in milliseconds; nil when it does not.
    package var upstreamPauseMilliseconds: Int64?
}
