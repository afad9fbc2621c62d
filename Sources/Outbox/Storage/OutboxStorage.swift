import DexatelAPI

/// Where the outbox is kept: SQLite by default, and narrow enough for another database (design §8).
///
/// One thread, the commit thread, calls everything here; readers have `OutboxReading`.
protocol OutboxStorage: AnyObject {
    /// Hears now and then that opening makes progress: to verify a large outbox takes long.
    var progress: () -> Void { get set }

    /// Opens and recovers; a damaged or foreign file is refused, never replaced.
    ///
    /// - Parameter verify: Whether to check the whole file for damage, as after an I/O error; once, if opening has to be tried
    ///   again for another reason.
    func open(verify: Bool) throws -> OpenedOutbox

    /// Makes all of the changes durable, or none: it returns only when they are on disk.
    ///
    /// - Returns: How many receipts were purged.
    func commit(_ transaction: OutboxTransaction) throws -> Int64

    /// Whether there are receipts to purge.
    func hasReceipts(endedBefore: RelayTime) throws -> Bool

    /// Pending writes out of their lanes, with their payloads, in order.
    func writes(_ selection: StoredSelection, limit: Int) throws -> [StoredWrite]

    /// A pending or dead write with its payload.
    func write(_ sequence: Int64) throws -> StoredWrite?

    /// The pending write of its contact before a pending write that is not held.
    func predecessor(of write: PendingWrite) throws -> LaneSchedule.Predecessor

    /// When the next write that was answered 403 is due.
    func nextHeldWriteDue() throws -> RelayTime?

    /// What was delivered to a contact that has writes out of order; nil when it has none.
    func order(of contact: ContactReference) throws -> ContactOrder?

    /// The write that was accepted with an idempotency key, and what it was made of.
    func write(idempotency: [UInt8]) throws -> (receipt: Receipt, content: [UInt8])?

    /// Sealed keys that nothing has been pending or dead of since then.
    func idleKeys(since: RelayTime, limit: Int) throws -> [Int64]

    /// Keys whose seals were dropped and that are not remembered any longer: those that the upstream never took since
    /// the later time, the others since the earlier one.
    func forgettableKeys(unverifiedSince: RelayTime, since: RelayTime, limit: Int) throws -> [Int64]

    /// Keys that the upstream never took and that nothing has been pending or dead of for longest.
    func idleUnverifiedKeys(limit: Int) throws -> [Int64]

    /// Forgets keys that nothing is pending or dead of, with the receipts of what was not delivered.
    ///
    /// - Returns: How many receipts went; those are out of the books then.
    func forgetKeys(_ rows: [Int64]) throws -> Int64

    /// Moves what the log holds into the database and empties the log, if nobody is reading; false when somebody is.
    func emptyLog() throws -> Bool

    /// Looks whether the files that are open are still those at their paths; throws when they are not: what is committed
    /// then is not found by the next start.
    ///
    /// A system call or two, for each commit.
    func look() throws(FilesFault)

    /// Brings what is committed into the database itself, as far as that can be done: its log may be gone.
    func settle()

    /// Takes room on the disk for the outcomes of deliveries; whether there was as much.
    func fillReserve() -> Bool

    /// Gives that room up, for what has to be recorded on a full disk; false if it was given up already.
    func releaseReserve() -> Bool

    /// Keeps the vault and what was sealed anew, in one transaction.
    func reseal(_ vault: StoredVault, _ keys: [OutboxTransaction.KeyRow]) throws

    /// Stops writing after a failure; what is committed can still be read until the next `open`.
    func closeWriter()

    /// Closes for good.
    func close()
}

/// Reads of the outbox, beside the commit thread and never on an event loop.
protocol OutboxReading: Sendable {
    /// Pending writes that are not held, in order, with as many of their payloads as there is room for.
    func pendingWrites(_ rows: PendingRows) async throws -> PendingPart
    /// Those of a contact behind `sequence`.
    func pendingWrites(
        of contact: ContactReference,
        after sequence: Int64,
        limit: Int
    ) async throws -> [PendingWrite]
    /// The pending writes of a key to some contacts, in order, of the newest `limit` of each; what the replay rule would
    /// not let go any more is left out.
    func pendingWrites(
        to contacts: [ContactReference],
        keyRow: Int64,
        semantics: PutSemantics,
        limit: Int
    ) async throws -> [PendingContactWrite]
    /// What pending writes send, by their sequences.
    func payloads(of sequences: [Int64]) async throws -> [Int64: WritePayload]
    /// The receipt of a write, wherever it is.
    func receipt(_ id: WriteID) async throws -> Receipt?
    /// When the oldest pending write was accepted, or was last brought back from the dead.
    func oldestPendingAcceptedClock() async throws -> RelayTime?
    /// A part of what an operator's selection finds.
    func page(_ selection: WriteSelection, after sequence: Int64, limit: Int, wallNow: Int64) async throws -> StoredPage
    /// A write with all that is kept of it.
    func details(_ sequence: Int64) async throws -> WriteDetails?
    /// What of a part of a selection could be sent elsewhere.
    func exports(_ sequences: [Int64]) async throws -> [ExportedWrite]
    /// The keys that the outbox knows.
    func keySummaries() async throws -> [KeySummary]
    /// A contact that a key has pending or dead writes for; nil when there is none near the head of the queue.
    func contact(ofKeys rows: [Int64]) async throws -> ContactReference?
    /// The contacts that operators have stopped.
    func stoppedContacts() async throws -> [StoppedContact]
    /// Dead writes that nobody was told of, and that are due to be told.
    func untoldDeadWrites(now: RelayTime, limit: Int) async throws -> [DeadWrite]
    /// How many dead writes nobody was told of, due or not.
    func untoldCount() async throws -> Int
    /// Looks through the whole database for damage, and counts everything again; what is wrong, if anything.
    func check() async throws -> [String]
}

/// Which part of the backlog.
struct PendingRows: Sendable, Equatable {
    /// Behind this sequence.
    var after: Int64
    /// Of these keys; nil for all.
    var keyRows: [Int64]? = nil
    /// Whether what comes before and behind each in its contact is to be found, too.
    var needsOrder = false
    /// So many at most.
    var limit: Int
    /// Bytes of the payloads to be read with them at most.
    var maxPayloadBytes = 0
}

/// A part of the backlog.
struct PendingPart: Sendable, Equatable {
    var writes: [PendingWrite]
    /// Up to where there is no other of them; nil for the end.
    var upTo: Int64?
    /// What comes before and behind them, if that was asked for, by their sequences.
    var order: [Int64: Order] = [:]
    /// What they send, as far as there was room, by their sequences.
    var payloads: [Int64: WritePayload] = [:]

    struct Order: Sendable, Equatable {
        var predecessor: LaneSchedule.Predecessor
        var hasSuccessor: Bool
    }
}

/// Which pending writes out of their lanes.
enum StoredSelection: Sendable {
    /// Of keys, held for this reason.
    case keys([Int64], WriteHold)
    /// Of a contact that is, or was, stopped.
    case contact(ContactReference)
    /// Answered 403, and due.
    case due(RelayTime)
    /// Let go by an operator.
    case queued
    /// Held, and accepted before then.
    case heldAcceptedBefore(RelayTime)
}

/// A pending or dead write as the commit thread reads it.
struct StoredWrite: Sendable {
    var write: PendingWrite
    var payload: WritePayload
    var isDead: Bool
    /// The upstream's last status and the last error, of a dead write.
    var status: Int?
    var lastError: String?
}

/// What an outbox holds when it has been opened.
struct OpenedOutbox: Sendable {
    var counts: WriteCounts
    var nextSequence: Int64
    var keys: [StoredKey]
    var savedRelayClock: Int64?
    var savedWallClock: Int64?
    /// Rows of keys that have writes held on a 401.
    var keysWithHeldWrites: Set<Int64> = []
    var stoppedContacts: Set<ContactReference> = []
    var releasingContacts: Set<ContactReference> = []
    /// Dead writes by contact and key.
    var dead: [DeadCount] = []
    var reader: any OutboxReading

    struct DeadCount: Sendable {
        var contact: ContactReference
        var keyRow: Int64
        var count: Int
    }
}

/// Changes that are made durable together.
struct OutboxTransaction: Sendable {
    /// A key that is met for the first time, or whose seal was dropped and is needed again.
    struct KeyRow: Sendable {
        var row: Int64
        var fingerprint: KeyFingerprint
        /// Nil when nothing is to be sent with it.
        var sealed: [UInt8]?
        var masterKeyIdentifier: [UInt8]
    }

    /// A write that is accepted.
    struct Accept: Sendable {
        var write: PendingWrite
        var payload: WritePayload
        var headerText: String
        var idempotency: Idempotency?
    }

    /// A pending write whose place changes without an attempt.
    struct Move: Sendable {
        var write: PendingWrite
        /// What it sends from now on, if that changes.
        var payload: WritePayload?
    }

    /// One of perhaps several deaths of a write.
    struct Death: Sendable, Equatable {
        var sequence: Int64
        /// When it died: a write that was retried in between, and died again, has not been told of.
        var endedAtMilliseconds: Int64
    }

    /// A write that is brought back from the dead.
    struct Revival: Sendable {
        var write: PendingWrite
        var payload: WritePayload
    }

    var newKeys: [KeyRow] = []
    var sealedKeys: [KeyRow] = []
    var unsealedKeys: [Int64] = []
    /// Keys and what replaces them.
    var successors: [(row: Int64, successor: Int64)] = []
    var accepts: [Accept] = []
    var attempts: [AttemptRecord] = []
    var moves: [Move] = []
    var ends: [EndRecord] = []
    var revivals: [Revival] = []
    /// Dead writes that an operator discards.
    var buried: [Int64] = []
    /// Contacts that an operator stops (true) or lets go (false).
    var stops: [(contact: ContactReference, isStopped: Bool)] = []
    /// Contacts all of whose writes have come back.
    var restarted: [ContactReference] = []
    /// Deaths that were told, and those that could not be told yet.
    var told: [Death] = []
    var untold: [(death: Death, nextClock: RelayTime)] = []
    /// By how much the number of pending and dead writes of each key changes.
    var pendingByKey: [Int64: Int64] = [:]
    var deadByKey: [Int64: Int64] = [:]
    /// By how much the number of writes out of order of each contact changes.
    var outOfOrder: [ContactReference: Int64] = [:]
    var verifiedKeys: Set<Int64> = []
    var refusedKeys: Set<Int64> = []
    /// Receipts that ended before this go, at most `purgeLimit` of them.
    var purgeEndedBefore: RelayTime?
    /// Beyond so many receipts the oldest go.
    var maxReceipts = Int64.max
    var counts = WriteCounts()
    var nextSequence: Int64 = 1
    var clock = RelayTime(milliseconds: 0)
    var wallMilliseconds: Int64 = 0

    /// Receipts that one transaction purges by age at most, so that the writers behind it hardly wait.
    static let purgeLimit = 256
    /// Receipts that one transaction purges as there are too many; more than one transaction adds.
    static let excessLimit: Int64 = 8_192
}
