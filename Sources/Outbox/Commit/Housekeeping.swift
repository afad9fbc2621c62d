import DexatelAPI

/// Decides what the commit thread does beside its work, one small step at a time: old receipts, writes that grew
/// too old, keys that nobody needs, the log, the saved clock.
struct Housekeeping {
    enum Task {
        case purge(RelayTime)
        case operation(any CommitOperation)
        /// These grew too old.
        case expire([PendingWrite])
        /// There is more to be looked at.
        case look
        case forget([Int64])
        case saveClock

        var mayHaveMore: Bool {
            switch self {
            case .purge, .operation, .forget, .look: true
            case .saveClock, .expire: false
            }
        }
    }

    /// How often an idle outbox saves its clock.
    private static let saveClockMilliseconds: Int64 = 60_000
    /// How long nothing is committed before the log is emptied, so that bodies of ended writes do not stay in it.
    private static let idleMilliseconds: Int64 = 1_000
    /// How long they may stay there while there is always something to commit.
    private static let maxLogMilliseconds: Int64 = 60_000
    /// How often keys are looked after.
    private static let keysMilliseconds: Int64 = 600_000
    /// How long the seal of a key is kept that nothing is to be sent with.
    static let keepSealMilliseconds: Int64 = 86_400_000
    /// How long a key is remembered after that, so that receipts keep their owner, and a revoked key stays revoked.
    static let keepKeyMilliseconds: Int64 = 90 * 86_400_000
    /// Keys that one step changes at most: to find them all of them are looked through, which `writes.max_unverified_keys`
    /// bounds.
    private static let keyStepLimit = 1_024

    var settings: CommitThread.Settings
    private var savedAt: RelayTime
    private var dirtySince: RelayTime?
    private var keysAt: RelayTime
    /// Up to where pending writes were looked at for their age, as far as not all could be.
    private var ageCursor: Int64 = 0

    init(settings: CommitThread.Settings, now: RelayTime) {
        self.settings = settings
        savedAt = now
        // A crash may have left a log.
        dirtySince = now
        keysAt = now
    }

    /// Something was committed.
    mutating func committed(_ now: RelayTime) {
        savedAt = now
        dirtySince = dirtySince ?? now
    }

    /// What to do next; nil when there is nothing.
    ///
    /// - Parameter unverifiedKeys: How many keys there are that the upstream never took.
    mutating func next(_ storage: any OutboxStorage, unverifiedKeys: Int, now: RelayTime) throws -> Task? {
        let receiptsBefore = now + -settings.keepReceiptsMilliseconds
        if try storage.hasReceipts(endedBefore: receiptsBefore) { return .purge(receiptsBefore) }
        let acceptedBefore = now + -settings.maxAgeMilliseconds
        let (old, next) = try storage.oldWrites(acceptedBefore: acceptedBefore, after: ageCursor)
        ageCursor = next ?? 0
        if !old.isEmpty { return .expire(old) }
        if next != nil { return .look }
        if let task = try makeRoom(storage, unverifiedKeys) { return task }
        if now >= keysAt {
            if let task = try nextForKeys(storage, now) { return task }
            keysAt = now + Self.keysMilliseconds
        }
        if let since = dirtySince, now - savedAt >= Self.idleMilliseconds || now - since >= Self.maxLogMilliseconds {
            // While somebody reads, the next turn tries again.
            if try storage.emptyLog() { dirtySince = nil }
        }
        return now - savedAt >= Self.saveClockMilliseconds ? .saveClock : nil
    }

    /// Forgets keys that the upstream never took before there are too many: an eighth is kept free, so that a new key does
    /// not have to wait for the next turn.
    private func makeRoom(_ storage: any OutboxStorage, _ unverifiedKeys: Int) throws -> Task? {
        let limit = settings.maxUnverifiedKeys
        let tooMany = unverifiedKeys - (limit - max(limit / 8, 1))
        guard tooMany > 0 else { return nil }
        let rows = try storage.idleUnverifiedKeys(limit: min(tooMany, Self.keyStepLimit))
        return rows.isEmpty ? nil : .forget(rows)
    }

    private func nextForKeys(_ storage: any OutboxStorage, _ now: RelayTime) throws -> Task? {
        let sealed = try storage.idleKeys(since: now + -Self.keepSealMilliseconds, limit: Self.keyStepLimit)
        if !sealed.isEmpty { return .operation(DropSeals(rows: sealed)) }
        // Their receipts are gone by then: they go `keep_receipts` after the end, and the end is before the idleness.
        let unverified = max(Self.keepSealMilliseconds, settings.keepReceiptsMilliseconds) * 2
        let forgettable = try storage.forgettableKeys(
            unverifiedSince: now + -unverified,
            since: now + -max(Self.keepSealMilliseconds + Self.keepKeyMilliseconds, unverified),
            limit: Self.keyStepLimit
        )
        return forgettable.isEmpty ? nil : .forget(forgettable)
    }
}

/// Ends writes that grew too old: they die, and are never deleted.
struct ExpireWrites: CommitOperation {
    /// What receipts say of them.
    static let error = "expired: older than writes.max_age"

    let writes: [PendingWrite]
    let engine: DeliveryEngine

    func run(_ desk: inout CommitDesk) throws -> () -> Void {
        // What is under way dies after it, if it comes to that.
        for write in writes where engine.withdraw(write) {
            desk.end(
                EndRecord(
                    write: write,
                    state: .dead,
                    lastError: Self.error,
                    keyRow: desk.keys.effectiveRow(write.keyRow)
                )
            )
        }
        return {}
    }

    func failed(_ error: OutboxError) {}
}

/// Drops the seals of keys that nothing is to be sent with.
private struct DropSeals: CommitOperation {
    let rows: [Int64]

    func run(_ desk: inout CommitDesk) throws -> () -> Void {
        desk.ledger.unseal(rows)
        desk.keys.unseal(rows)
        return {}
    }

    func failed(_ error: OutboxError) {}
}
