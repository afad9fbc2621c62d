import DexatelAPI

/// Where the outbox is kept: SQLite by default, and narrow enough for another database (design §8).
///
/// One thread, the commit thread, calls everything here; readers have `OutboxReading`.
protocol OutboxStorage: AnyObject {
    /// Opens and recovers; a damaged or foreign file is refused, never replaced.
    ///
    /// - Parameter verify: Whether to check the whole file for damage, as after an I/O error.
    func open(verify: Bool) throws -> OpenedOutbox

    /// Makes all of the changes durable, or none: it returns only when they are on disk.
    func commit(_ transaction: OutboxTransaction) throws

    /// Whether there are receipts to purge.
    func hasReceipts(endedBefore: RelayTime) throws -> Bool

    /// Stops writing after a failure; what is committed can still be read until the next `open`.
    func closeWriter()

    /// Closes for good.
    func close()
}

/// Reads of the outbox, beside the commit thread and never on an event loop.
protocol OutboxReading: Sendable {
    /// The pending writes behind `sequence`, in order, without their payloads.
    func pendingWrites(after sequence: Int64, limit: Int) async throws -> [PendingWrite]
    /// The pending writes of a key to some contacts, in order, the newest `limit` of each.
    func pendingWrites(to contacts: [ContactReference], keyRow: Int64, limit: Int) async throws
        -> [PendingContactWrite]
    /// What a pending write sends.
    func payload(of sequence: Int64) async throws -> WritePayload?
    /// The receipt of a write, wherever it is.
    func receipt(_ id: WriteID) async throws -> Receipt?
    /// The acceptance time (wall clock, milliseconds) of the oldest pending write.
    func oldestPendingAcceptedAt() async throws -> Int64?
}

/// What an outbox holds when it has been opened.
struct OpenedOutbox: Sendable {
    var counts: WriteCounts
    var nextSequence: Int64
    var keys: [StoredKey]
    var savedRelayClock: Int64?
    var savedWallClock: Int64?
    var reader: any OutboxReading
}

/// A pending write as the delivery engine holds it, without its payload.
struct PendingWrite: Sendable, Equatable {
    var id: WriteID
    var contact: ContactReference
    var keyRow: Int64
    var method: WriteMethod
    var storedBytes: Int
    var acceptedClock: RelayTime
    var attempts: Int64
    var nextAttempt: RelayTime?
    var isHeld: Bool
    var isAmbiguous: Bool
}

/// Changes that are made durable together.
struct OutboxTransaction: Sendable {
    /// A key that is met for the first time, or whose status changed.
    struct KeyRow: Sendable {
        var row: Int64
        var fingerprint: KeyFingerprint
        var sealed: [UInt8]
        var masterKeyIdentifier: [UInt8]
    }

    /// A write that is accepted.
    struct Accept: Sendable {
        var write: PendingWrite
        var payload: WritePayload
        var headerText: String
    }

    var newKeys: [KeyRow] = []
    var accepts: [Accept] = []
    var attempts: [AttemptRecord] = []
    var ends: [EndRecord] = []
    /// By how much the number of pending writes of each key changes.
    var pendingByKey: [Int64: Int64] = [:]
    var verifiedKeys: Set<Int64> = []
    var refusedKeys: Set<Int64> = []
    /// Receipts that ended before this go, at most `purgeLimit` of them.
    var purgeEndedBefore: RelayTime?
    var counts = WriteCounts()
    var nextSequence: Int64 = 1
    var clock = RelayTime(milliseconds: 0)
    var wallMilliseconds: Int64 = 0

    /// Receipts that one transaction purges at most, so that the writers behind it hardly wait.
    static let purgeLimit = 256
}
