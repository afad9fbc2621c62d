import DexatelAPI
import Dispatch
import Glibc
import Logging
import Synchronization

/// What runs on the commit thread.
struct CommitLoop {
    /// How often the thread looks after the disk, old receipts and the saved clock while there is nothing to commit.
    private static let housekeepingMilliseconds = 1_000
    /// How long after a failed reopening the next one follows.
    private static let reopenMilliseconds = 1_000
    /// The same where it is damaged, and all of it would be looked through in vain.
    private static let damagedMilliseconds = 60_000
    /// The longest that a full disk is not looked at again.
    private static let maxFullMilliseconds = 8_000

    let thread: CommitThread
    let storage: any OutboxStorage
    let engine: DeliveryEngine
    var counts: WriteCounts
    private(set) var nextSequence: Int64
    private var nextKeyRow: Int64
    var isFailed = false
    private var isDamageLogged = false
    /// When a damaged row may have the outbox reopened at once again.
    private var setAsideAgainAt = DispatchTime.now()
    /// What is wrong with the files that are open: nothing is acknowledged meanwhile, and what was is delivered out of them.
    var filesFault: FilesFault?
    /// The disk is full, and the room that was kept for it is being used: until it is there again nothing is sent or accepted,
    /// and the outcomes of what is under way are recorded.
    var fullUntil: DispatchTime?
    private var fullMilliseconds = reopenMilliseconds
    /// Until when a disk that is full once more counts as still full.
    private var fullAgainUntil = DispatchTime.now()
    private var reopenAt = DispatchTime.now()
    private var housekeepingAt = DispatchTime.now()
    private var housekeeping: Housekeeping
    /// Writes whose outcomes are on their way here, and of which another sender has been told 202 meanwhile.
    var acknowledgedWrites: Set<Int64> = []
    /// Lanes, keys and the upstream, as far as the thread knows them.
    var lanes: LaneBoard

    init(
        thread: CommitThread,
        storage: any OutboxStorage,
        engine: DeliveryEngine,
        opened: OpenedOutbox
    ) {
        self.thread = thread
        self.storage = storage
        // The watchdog is not to kill a daemon that looks through a large outbox, only one that stands still.
        storage.progress = { thread.turnCount.add(1, ordering: .relaxed) }
        self.engine = engine
        counts = opened.counts
        nextSequence = opened.nextSequence
        nextKeyRow = Self.nextKeyRow(opened)
        housekeeping = Housekeeping(settings: thread.settings, now: thread.clock.now())
        lanes = LaneBoard(limits: engine.limits, opened: opened)
        lanes.load(thread.keys, now: thread.clock.now())
    }

    private static func nextKeyRow(_ opened: OpenedOutbox) -> Int64 { (opened.keys.map(\.row).max() ?? 0) + 1 }

    mutating func run() {
        while let work = thread.inbox.next(until: isFailed ? nextLook : min(housekeepingAt, nextTurn)) {
            thread.turnCount.add(1, ordering: .relaxed)
            turn(work)
        }
        if !isFailed { commitQuietly() }
        storage.close()
    }

    /// Commits the work of the inbox, then lets the lanes and the housekeeping have their turn.
    mutating func turn(_ work: CommitInbox.Work) {
        if isFailed {
            refuse(work)
            if DispatchTime.now() >= reopenAt { reopen() }
            return
        }
        commit(work)
        if !isFailed { turnLanes() }
        assertInvariants()
        guard DispatchTime.now() >= housekeepingAt else { return }
        let hasMore = isFailed ? false : keepHouse()
        // In small steps, so that the writers behind hardly wait, but at once: receipts must not come
        // faster than they go (P8).
        if !hasMore { housekeepingAt = .now() + .milliseconds(Self.housekeepingMilliseconds) }
    }

    /// What must hold after each turn, as far as it costs little; looked at in debug builds alone.
    private func assertInvariants() {
        #if DEBUG
        engine.assertInvariants()
        lanes.judge.keys.assertInvariants()
        assert(counts.isBalanced, "the books do not balance")
        #endif
    }

    /// The thread turns while it is failed, too: the watchdog is not to kill it for a disk that is full.
    private var nextLook: DispatchTime { min(reopenAt, .now() + .milliseconds(Self.reopenMilliseconds)) }

    private func newLedger() -> CommitLedger {
        var transaction = OutboxTransaction()
        transaction.counts = counts
        transaction.nextSequence = nextSequence
        transaction.clock = thread.clock.now()
        transaction.wallMilliseconds = thread.clock.wallNow()
        transaction.maxReceipts = thread.settings.maxReceipts
        transaction.stoppedContacts = lanes.stopped
        return CommitLedger(transaction)
    }

    // MARK: - Batches

    private mutating func commit(_ work: CommitInbox.Work) {
        var work = work
        if filesFault != nil || fullUntil != nil {
            // The outcomes of deliveries are recorded all the same, so that each write is sent once, and in order.
            refuseWrites(work.writes)
            work.writes = []
        }
        let decisions = decide(work.outcomes)
        if !work.writes.isEmpty || !decisions.isEmpty { commitBatch(work.writes, decisions) }
        putBrakeOn()
        for (index, operation) in work.operations.enumerated() {
            guard !isFailed else {
                for operation in work.operations[index...] { operation.failed(Self.notCommitted) }
                return
            }
            guard filesFault == nil && fullUntil == nil || !operation.acknowledges else {
                operation.failed(filesFault == nil ? Self.noRoom : Self.notAcknowledged)
                continue
            }
            perform(operation)
        }
    }

    /// Has the senders of writes told that nothing is known of them: they are in files that the next start will not find.
    ///
    /// They are delivered all the same, as an acknowledged write would be: that is what unknown means (P1).
    func doubted(
        _ accepted: [(write: NewWrite, pending: PendingWrite)]
    ) -> [(write: NewWrite, pending: PendingWrite)] {
        var answers = AnswerBatches()
        for (write, _) in accepted { answers.add(write.sink, write.token, .unavailable(.storageFailed)) }
        answers.send()
        return accepted.map { ($0.write.answered(), $0.pending) }
    }

    /// Tells the log of keys that had writes held on a 403, and have none any more.
    func tellAllowed(_ ends: [EndRecord]) {
        for end in ends where end.write.log.entries.contains(where: { $0.status == 403 }) {
            guard let key = thread.keys.key(row: end.write.keyRow), key.current.isForbiddenTold,
                let left = try? storage.writes(.keys(thread.keys.rows(of: end.write.keyRow), .write), limit: 1),
                left.isEmpty
            else { continue }
            thread.keys.allow(key)
            thread.logger.notice(
                "no write of an API key is held on a 403 any more",
                metadata: ["key": "\(key.fingerprint)"]
            )
        }
    }

    func count(_ end: EndRecord) {
        let isDead = end.state == .dead
        if let key = thread.keys.key(row: end.keyRow) {
            thread.keys.end(key, verdict: end.keyVerdict, isDead: isDead)
        }
        if isDead { thread.deadCounts.add(1, end.contact, end.write.keyRow) }
    }

    func newDesk() -> CommitDesk {
        CommitDesk(storage: storage, keys: thread.keys, ledger: newLedger(), nextKeyRow: nextKeyRow)
    }

    /// Makes a transaction durable, and what follows from it for the next one.
    mutating func save(_ unsettled: CommitDesk) throws -> CommitResult {
        var desk = unsettled
        lanes.settle(&desk, keys: thread.keys, now: desk.clock)
        let transaction = desk.ledger.transaction
        try thread.precondition(transaction.counts)
        let result = try storage.commit(transaction)
        counts = transaction.counts
        counts.receipts -= result.purged
        nextSequence = transaction.nextSequence
        nextKeyRow = desk.nextKeyRow
        housekeeping.committed(transaction.clock)
        for (key, row) in desk.news.sealedKeys { thread.keys.adopt(key, row: row) }
        for (key, row) in desk.news.unsealedKeys { thread.keys.adopt(key, row: row, isSealed: false) }
        thread.contacts.apply(transaction.contactChanges)
        lanes.committed(transaction, keys: thread.keys)
        try lookAtFiles()
        return result
    }

    private func refuse(_ work: CommitInbox.Work) {
        refuseWrites(work.writes)
        // What became of them is found out from the database, once that is back.
        engine.send(work.outcomes.compactMap { $0.waiter?.accepted })
        for operation in work.operations { operation.failed(Self.notCommitted) }
    }

    func refuseWrites(_ writes: [NewWrite]) {
        var sinks = AnswerBatches()
        for write in writes {
            thread.keys.release(write.key)
            thread.admission.release(writes: 1, bytes: write.admittedBytes)
            sinks.add(write.sink, write.token, .unavailable(.storageFailed))
        }
        sinks.send()
    }

    private static let notCommitted = OutboxError(.storage, "the outbox could not be written; it is being reopened")
    private static let noRoom = OutboxError(.storage, "the disk is full; nothing more is taken", errorNumber: ENOSPC)
    private static let notAcknowledged = OutboxError(
        .storage,
        "the outbox's files are not in their place; nothing more is taken until they are back"
    )

    // MARK: - Operations

    mutating func perform(_ operation: any CommitOperation) {
        var desk = newDesk()
        let tellOperation: () -> Void
        var result = CommitResult()
        do {
            tellOperation = try operation.run(&desk)
            if !desk.ledger.isEmpty || !desk.news.taken.isEmpty { result = try save(desk) }
        } catch {
            if !isDiskFull(error) { fail(error) }
            operation.failed(Self.notCommitted)
            return
        }
        thread.admission.commit(counts, writes: 0, bytes: 0)
        acknowledge(desk.news.acknowledged)
        tell(desk.news)
        tellOperation()
        follow(desk.news, result)
        thread.tellDeaths(desk.news.ends)
    }

    private func tell(_ news: CommitNews) {
        thread.transitions.withLock { transitions in
            for end in news.ends { transitions.count(end) }
            transitions.retried += Int64(news.revived.count)
            transitions.discarded += Int64(news.buried.count)
        }
        for end in news.ends { count(end) }
        for write in news.revived {
            if let key = thread.keys.key(row: write.keyRow) {
                thread.keys.revive(key)
                thread.keys.forgetDead(key, count: 1)
            }
            thread.deadCounts.add(-1, write.contact, write.keyRow)
        }
        for write in news.buried {
            if let key = thread.keys.key(row: write.keyRow) { thread.keys.forgetDead(key, count: 1) }
            thread.deadCounts.add(-1, write.contact, write.keyRow)
        }
        tellAllowed(news.ends)
    }

    // MARK: - A full disk

    /// Whether an error is a full disk for which room was kept; it is given up then, and nothing of the transaction is there.
    mutating func isDiskFull(_ error: any Error) -> Bool {
        guard OutboxError.isDiskFull(error), storage.releaseReserve() else { return false }
        // Full again soon after there was room: longer, so that senders and the log are not told of each byte.
        let isAgain = DispatchTime.now() < fullAgainUntil
        fullMilliseconds = isAgain ? min(fullMilliseconds * 2, Self.maxFullMilliseconds) : Self.reopenMilliseconds
        fullUntil = .now() + .milliseconds(fullMilliseconds)
        engine.holdDeliveries(true)
        thread.tellDisk(isFull: true)
        return true
    }

    /// Looks whether there is room again for the outcomes of deliveries.
    private mutating func lookForRoom() {
        guard let until = fullUntil, DispatchTime.now() >= until, storage.fillReserve() else { return }
        fullUntil = nil
        fullAgainUntil = .now() + .milliseconds(Self.damagedMilliseconds)
        engine.holdDeliveries(false)
    }

    // MARK: - Files

    /// Notices files that were deleted, moved or replaced, before anything is acknowledged that the next start will not
    /// find (P1); and that they are back.
    ///
    /// - Throws: Where the file itself was changed, so that it has to be verified.
    private mutating func lookAtFiles() throws {
        do throws(FilesFault) {
            try storage.look()
            if filesFault != nil { filesAreBack() }
        } catch {
            if case .cut = error { throw OutboxError(.damaged, error.description) }
            if filesFault != error {
                thread.health.withLock { $0 = .filesLost(error.description) }
                thread.logger.critical(
                    "the outbox's files are not in their place; no write is acknowledged, and what was is being delivered",
                    metadata: ["error": "\(error.description)", "pending": "\(counts.pending)"]
                )
            }
            filesFault = error
            // Whichever of the files comes back, or is kept: the database alone holds everything then.
            storage.settle()
        }
    }

    private mutating func filesAreBack() {
        filesFault = nil
        thread.health.withLock { $0 = .working }
        thread.logger.notice("the outbox's files are back in their place; writes are taken")
    }

    // MARK: - Housekeeping

    /// Looks after files, disk, receipts, age, keys, log and clock; returns whether there may be more to do at once.
    mutating func keepHouse() -> Bool {
        do {
            try lookAtFiles()
        } catch {
            fail(error)
        }
        guard !isFailed, filesFault == nil else { return false }
        lookForRoom()
        thread.tellDisk(isFull: fullUntil != nil)
        do {
            housekeeping.settings = thread.settings
            let unverifiedKeys = thread.keys.unverifiedKeys
            guard let task = try housekeeping.next(storage, unverifiedKeys: unverifiedKeys, now: thread.clock.now())
            else {
                return false
            }
            switch task {
            case .operation(let operation):
                perform(operation)
            case .expire(let writes):
                let before = counts.pending
                expire(writes)
                // What is left is under way, or is not let die.
                return !isFailed && counts.pending < before
            case .look: break
            case .saveClock, .purge:
                var desk = newDesk()
                if case .purge(let before) = task { desk.ledger.purge(endedBefore: before) }
                _ = try save(desk)
                thread.admission.commit(counts, writes: 0, bytes: 0)
            case .forget(let rows):
                counts.receipts -= try storage.forgetKeys(rows)
                thread.keys.forget(rows)
                thread.admission.commit(counts, writes: 0, bytes: 0)
            }
            return !isFailed && task.mayHaveMore
        } catch {
            if !isDiskFull(error) { fail(error) }
            return false
        }
    }

    private mutating func commitQuietly() {
        do {
            _ = try save(newDesk())
        } catch {
            thread.logger.error("the clock could not be saved", metadata: ["error": "\(error)"])
        }
        if let filesFault, counts.pending > 0 {
            thread.logger.critical(
                "the relay stops while the outbox's files are not in their place; pending writes are lost with them",
                metadata: ["error": "\(filesFault.description)", "pending": "\(counts.pending)"]
            )
        }
    }

    // MARK: - Failure

    mutating func fail(_ error: any Error) {
        isFailed = true
        reopenAt = .now() + .milliseconds(Self.reopenMilliseconds)
        let isOfRow = (error as? OutboxError)?.isOfRow ?? false
        if isOfRow, DispatchTime.now() >= setAsideAgainAt {
            // It is set aside at once, so that senders hardly notice.
            reopenAt = .now()
            setAsideAgainAt = .now() + .milliseconds(Self.damagedMilliseconds)
        }
        thread.health.withLock { $0 = .failed("\(error)") }
        if isOfRow {
            thread.logger.error("a row of the outbox is damaged; all are looked at", metadata: ["error": "\(error)"])
        } else if OutboxError.isDamage(error) {
            logDamage(error)
        } else {
            thread.logger.error(
                "a commit failed; the outbox takes no writes until it has been reopened and verified",
                metadata: ["error": "\(error)"]
            )
        }
        storage.closeWriter()
        engine.storageFailed()
    }

    /// Once for each time that the outbox fails, not for each look at it.
    private mutating func logDamage(_ error: any Error) {
        guard !isDamageLogged else { return }
        isDamageLogged = true
        thread.logger.critical(
            "the outbox is damaged; it takes no writes, and is left as it is",
            metadata: ["error": "\(error)"]
        )
    }

    mutating func reopen() {
        do {
            let opened = try storage.open(verify: true)
            try thread.keys.load(opened.keys)
            counts = opened.counts
            nextSequence = opened.nextSequence
            nextKeyRow = Self.nextKeyRow(opened)
            isFailed = false
            isDamageLogged = false
            filesFault = nil
            // Opening has taken the room.
            fullUntil = nil
            engine.holdDeliveries(false)
            thread.deadCounts.load(opened.dead)
            thread.admission.commit(opened.counts, writes: 0, bytes: 0)
            thread.health.withLock { $0 = .working }
            thread.logger.notice("the outbox has been reopened and verified")
            thread.tell(opened.setAside)
            thread.contacts.restart()
            acknowledgedWrites = []
            lanes = LaneBoard(limits: engine.limits, opened: opened)
            lanes.load(thread.keys, now: thread.clock.now())
            engine.reopened(opened)
        } catch {
            let isDamaged = OutboxError.isDamage(error)
            reopenAt = .now() + .milliseconds(isDamaged ? Self.damagedMilliseconds : Self.reopenMilliseconds)
            thread.health.withLock { $0 = .failed("\(error)") }
            if isDamaged { logDamage(error) }
            thread.logger.debug("the outbox cannot be reopened yet", metadata: ["error": "\(error)"])
        }
    }
}
