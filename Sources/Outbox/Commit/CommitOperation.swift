import DexatelAPI

/// Something that the commit thread does in a transaction of its own: it reads what is there, decides, and changes it,
/// and nobody else can change it in between.
protocol CommitOperation: Sendable {
    /// Whether somebody relies on what it makes durable as on an acknowledged write.
    var acknowledges: Bool { get }
    /// Decides what to change; called on the commit thread, with nothing under way in the database.
    ///
    /// - Returns: What to do, on the commit thread, once the changes are durable.
    func run(_ desk: inout CommitDesk) throws -> () -> Void
    /// Nothing is known to have been changed.
    func failed(_ error: OutboxError)
}

extension CommitOperation {
    var acknowledges: Bool { false }
}

/// What an operation works with.
struct CommitDesk {
    let storage: any OutboxStorage
    let keys: KeyRegistry
    /// The transaction that becomes durable after `run`.
    var ledger: CommitLedger
    /// The next row for a new key.
    var nextKeyRow: Int64
    /// What happened to keys and dead writes, for those who count in memory.
    var news = CommitNews()

    var clock: RelayTime { ledger.clock }

    /// The row of a key, which is sealed with this transaction if it is not.
    mutating func row(of key: KnownKey) throws -> Int64 {
        let status = key.current
        if let row = status.row, status.isSealed || status.isReplaced { return row }
        if let new = news.sealedKeys.first(where: { $0.key.fingerprint == key.fingerprint }) { return new.row }
        let vault = keys.vault
        let row = status.row ?? nextKeyRow
        let sealed = OutboxTransaction.KeyRow(
            row: row,
            fingerprint: key.fingerprint,
            sealed: try vault.seal(key.secret, fingerprint: key.fingerprint),
            masterKeyIdentifier: vault.masterKeyIdentifier
        )
        if status.row == nil {
            nextKeyRow += 1
            ledger.add(newKey: sealed)
            if status.isVerified { ledger.verify(row) }
        } else {
            ledger.add(sealedKey: sealed)
        }
        news.sealedKeys.append((key, row))
        return row
    }

    /// Remembers that the upstream takes a key, without the key itself: nothing is to be sent with it yet.
    mutating func rememberVerified(_ key: KnownKey) {
        let row: Int64
        if let known = key.current.row {
            row = known
        } else {
            row = nextKeyRow
            nextKeyRow += 1
            ledger.add(
                newKey: OutboxTransaction.KeyRow(
                    row: row,
                    fingerprint: key.fingerprint,
                    sealed: nil,
                    masterKeyIdentifier: keys.vault.masterKeyIdentifier
                )
            )
            news.unsealedKeys.append((key, row))
        }
        ledger.verify(row)
    }

    /// Ends a write without an attempt.
    mutating func end(_ end: EndRecord) {
        ledger.record(end, isKeyVerified: true)
        ledger.touch(end.contact)
        news.ends.append(end)
    }
}

/// Damage that somebody has read is a failure of the whole outbox.
struct FailDamaged: CommitOperation {
    let error: any Error

    func run(_ desk: inout CommitDesk) throws -> () -> Void { throw error }

    func failed(_ error: OutboxError) {}
}

/// What a transaction changed that is counted in memory, too.
struct CommitNews {
    var sealedKeys: [(key: KnownKey, row: Int64)] = []
    /// Keys that are known to the outbox now, but not in it.
    var unsealedKeys: [(key: KnownKey, row: Int64)] = []
    var ends: [EndRecord] = []
    /// Dead writes that are pending again.
    var revived: [PendingWrite] = []
    /// Dead writes that an operator has discarded.
    var buried: [PendingWrite] = []
    /// Writes that reads have to show from now on: let go, or taken in from elsewhere.
    var shown: [(contact: ContactReference, keyRow: Int64)] = []
    /// Keys that the upstream has shown to take, by the rows that are used.
    var taken: [Int64] = []
    /// Keys that were replaced: the row, and that of the successor.
    var replaced: [(row: Int64, successor: Int64)] = []
    /// Pending writes that another sender has been told of as accepted.
    var acknowledged: Set<Int64> = []
    /// An operator has deliveries go on.
    var isResumed = false
    /// Whatever waits for a time goes on.
    var isFlushed = false
    /// Contacts that were stopped (true) or let go.
    var stopped: [(contact: ContactReference, isStopped: Bool)] = []
}
