import DexatelAPI

/// Where the outbox is kept: SQLite by default, and narrow enough for another database (design §8).
///
/// One thread, the commit thread, calls everything here; readers have `OutboxReading`.
protocol OutboxStorage: AnyObject {
    /// Hears now and then that opening makes progress: to verify a large outbox takes long.
    var progress: () -> Void { get set }

    /// Opens and recovers; a damaged or foreign file is refused, never replaced.
    ///
    /// Single rows that cannot be read are set aside.
    ///
    /// - Parameter verify: Whether to check the whole file for damage, as after an I/O error; once, if opening has to be tried
    ///   again for another reason.
    func open(verify: Bool) throws -> OpenedOutbox

    /// Makes all of the changes durable, or none: it returns only when they are on disk.
    ///
    func commit(_ transaction: OutboxTransaction) throws -> CommitResult

    /// Whether there are receipts to purge.
    func hasReceipts(endedBefore: RelayTime) throws -> Bool

    /// Pending writes out of their lanes, with their payloads, in order.
    func writes(_ selection: StoredSelection, limit: Int) throws -> [StoredWrite]

    /// A pending or dead write with its payload.
    func write(_ sequence: Int64) throws -> StoredWrite?

    /// When the next write that was answered 403 is due.
    func nextHeldWriteDue() throws -> RelayTime?

    // MARK: Lanes

    /// Lanes of a key whose turn has come, the first first.
    ///
    /// - Parameters:
    ///   - keyRow: The key, as the writes have it.
    ///   - due: The last turn that counts; nil for all.
    ///   - take: Takes a first write, and what reads it with its payload; false when no more is wanted.
    /// - Returns: Whether nothing more of the key is due.
    func claim(
        keyRow: Int64,
        due: LaneTurn?,
        _ take: (ContactReference, () throws -> StoredWrite) throws -> Bool
    ) throws -> Bool

    /// The first turn of a key behind another one; nil when there is none.
    func nextTurn(keyRow: Int64, after: LaneTurn?) throws -> LaneTurn?

    /// The first writes of a contact with each key, in order.
    func heads(of contact: ContactReference) throws -> [LaneHead]

    /// Writes of a lane with the same key behind a write, in order, for as long as they are wanted.
    ///
    /// - Parameter before: Where to stop, as another key's write comes first; nil for the end.
    func followers(of write: PendingWrite, before: Int64?, _ take: (PendingWrite) -> Bool) throws

    /// The first write of a contact with a key behind a sequence; nil when there is none.
    func nextSequence(_ contact: ContactReference, keyRow: Int64, after sequence: Int64) throws -> Int64?

    /// Contacts whose first write with a key has a turn, behind a turn and a sequence.
    func lanes(keyRow: Int64, after: (turn: Int64, sequence: Int64), limit: Int) throws -> [LaneHead]

    /// Lanes that wait only for the upstream, the first first.
    func lanesWaitingForUpstream(limit: Int) throws -> [LaneHead]

    /// Contacts with pending writes behind one of them, in the order of their bytes, and how many each has.
    func pendingContacts(after bytes: [UInt8], isHeld: Bool, limit: Int) throws -> [(
        contact: ContactReference, count: Int
    )]

    /// Pending writes that were accepted before then, behind a sequence; a bounded number is looked at.
    ///
    /// - Returns: Where to go on; nil when nothing behind is older.
    func oldWrites(acceptedBefore: RelayTime, after sequence: Int64) throws -> (writes: [PendingWrite], next: Int64?)

    /// Pending writes of a contact that are not held by themselves, by the rows of their keys.
    func laneCounts(of contact: ContactReference) throws -> [Int64: Int64]

    // MARK: The rest

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
    /// Whether a contact has pending writes.
    func hasPending(_ contact: ContactReference) async throws -> Bool
    /// The pending writes of a key to some contacts, in order, of the newest `limit` of each; what the replay rule would
    /// not let go any more is left out.
    func pendingWrites(
        to contacts: [ContactReference],
        keyRows: [Int64],
        semantics: PutSemantics,
        limit: Int,
        maxBytes: Int
    ) async throws -> PendingContactWrites
    /// The receipt of a write, wherever it is.
    func receipt(_ id: WriteID) async throws -> Receipt?
    /// When the oldest pending write was accepted, or was last brought back from the dead.
    func oldestPendingAcceptedClock() async throws -> RelayTime?
    /// A part of what an operator's selection finds.
    func page(_ selection: WriteSelection, after sequence: Int64, limit: Int, wallNow: Int64) async throws -> StoredPage
    /// Looks at the next pending writes behind a sequence, and throws where one is damaged; nil at the end.
    func look(after sequence: Int64) async throws -> Int64?
    /// Writes that are damaged and were set aside, behind a sequence.
    func damagedWrites(after sequence: Int64, limit: Int) async throws -> [DamagedWriteReport]
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

/// What a commit leaves.
struct CommitResult: Sendable {
    /// Receipts that were purged.
    var purged: Int64 = 0
    /// The first writes of the lanes that were touched, as far as they may be sent: of each contact those of held keys, and
    /// the first that is not of one.
    var heads: [LaneHead] = []
}

/// Which pending writes out of their lanes.
enum StoredSelection: Sendable {
    /// Of keys, held for this reason.
    case keys([Int64], WriteHold)
    /// Answered 403, and due.
    case due(RelayTime)
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
    var stoppedContacts: Set<ContactReference> = []
    /// Who has paused deliveries.
    var pause = DeliveryPause.none
    /// Writes that were found to be damaged, and were set aside.
    var setAside: [DamagedWrite] = []
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
        var checksum: Int64
        var idempotency: Idempotency?
        /// Its turn, if its contact has no other write that is pending.
        var turn: LaneTurn?
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
    /// Damaged writes that an operator discards.
    var discardedDamaged: [Int64] = []
    /// Contacts that an operator stops (true) or lets go (false).
    var stops: [(contact: ContactReference, isStopped: Bool)] = []
    /// Lanes whose first write, or its turn, may be another one.
    var lanes: [ContactReference: LaneTouch] = [:]
    /// Who pauses deliveries from now on; nil for as before.
    var pause: DeliveryPause?
    /// All contacts that are stopped.
    var stoppedContacts: Set<ContactReference> = []
    /// All keys that are held, by the rows that writes have.
    var heldRows: Set<Int64> = []
    /// Keys that are held from now on (true), or no longer.
    var keyHolds: [Int64: Bool] = [:]
    /// Keys of which the upstream has shown that it takes them, though it took no write.
    var takenKeys: Set<Int64> = []
    /// By how much the number of held writes of each key changes: held by themselves, or with their contact.
    var heldByKey: [Int64: Int64] = [:]
    /// What is pending where.
    var contactChanges: [PendingContacts.Change] = []
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
