import DexatelAPI

/// A key that the outbox refers to, without the key.
package struct KeySummary: Sendable, Equatable {
    /// Its fingerprint, all of it, in hexadecimal digits.
    package var fingerprint: String
    /// When it was first seen: wall clock, milliseconds since 1970.
    package var createdAtMilliseconds: Int64
    /// When the upstream first took it.
    package var verifiedAtMilliseconds: Int64?
    /// When the upstream refused it with 401, if it has not taken it since.
    package var refusedAtMilliseconds: Int64?
    /// The fingerprint of the key that replaced it.
    package var successor: String?
    /// Whether the outbox has the key itself, sealed.
    package var isSealed: Bool
    /// Its pending writes, as they were accepted with it.
    package var pending: Int
    /// Those of them that are held on a 401.
    package var held: Int
    /// Its dead writes.
    package var dead: Int
}

/// Why a key cannot be replaced.
package enum KeyReplacementFault: Error, Sendable, Equatable {
    /// No key of the outbox has this fingerprint.
    case unknownKey
    /// More than one key has a fingerprint that begins so.
    case ambiguousFingerprint
    /// It was replaced already.
    case alreadyReplaced
    /// The new key is the old one, or was itself replaced.
    case unusableSuccessor
    /// The outbox cannot be written.
    case storage(OutboxError)
}

/// Lets another key take over what is pending of one, which the upstream has been seen to take.
struct ReplaceKey: CommitOperation {
    let row: Int64
    let new: KnownKey
    let done: @Sendable (Result<Void, KeyReplacementFault>) -> Void

    var acknowledges: Bool { true }

    func run(_ desk: inout CommitDesk) throws -> () -> Void {
        let keys = desk.keys
        guard let old = keys.key(row: row), old.current.row == row else {
            return { [done] in done(.failure(.alreadyReplaced)) }
        }
        guard old !== new, !new.current.isReplaced else { return { [done] in done(.failure(.unusableSuccessor)) } }
        let newRow = try desk.row(of: new)
        desk.ledger.replace(key: row, by: newRow)
        desk.news.replaced.append((row, newRow))
        return { [self] in
            keys.replace(old, row: row, by: new)
            done(.success(()))
        }
    }

    func failed(_ error: OutboxError) { done(.failure(.storage(error))) }
}

/// Keeps that the upstream takes a key.
struct RememberVerified: CommitOperation {
    let key: KnownKey

    func run(_ desk: inout CommitDesk) throws -> () -> Void {
        let status = key.current
        // It may have been refused, replaced or forgotten in the meantime.
        if status.isVerified, !status.isRefused, !status.isReplaced { desk.rememberVerified(key) }
        return {}
    }

    func failed(_ error: OutboxError) {}
}

/// Lets the writes of a held key go on, as the upstream has answered something else with it than 401.
struct TakeKey: CommitOperation {
    let key: KnownKey

    func run(_ desk: inout CommitDesk) throws -> () -> Void {
        if let row = key.current.row, key.current.isRefused, !key.current.isReplaced { desk.news.taken.append(row) }
        return {}
    }

    func failed(_ error: OutboxError) {}
}
