package import DexatelAPI
import Synchronization

/// The API keys that the running relay knows: those of the outbox, and those that clients showed lately.
package final class KeyRegistry: Sendable {
    /// Keys without a row that are remembered at most; past it those that nobody holds are forgotten and met anew.
    static let maxTransientKeys = 10_000

    /// Fingerprints and seals.
    package let vault: KeyVault

    private struct State {
        var keys: [KeyFingerprint: KnownKey] = [:]
        var byRow: [Int64: KnownKey] = [:]
    }

    private let state = Mutex(State())
    /// Pending writes of keys that have never succeeded upstream, over all of them.
    ///
    /// Locked before a key's own status.
    private let unverifiedPending = Mutex(0)

    init(vault: KeyVault) {
        self.vault = vault
    }

    /// The key that a client showed.
    package func key(for secret: Secret) -> KnownKey {
        let fingerprint = vault.fingerprint(secret)
        return state.withLock { state in
            if let known = state.keys[fingerprint] { return known }
            if state.keys.count - state.byRow.count >= Self.maxTransientKeys {
                Self.forgetUnheld(&state.keys)
            }
            let key = KnownKey(fingerprint: fingerprint, secret: secret)
            state.keys[fingerprint] = key
            return key
        }
    }

    /// Forgets the keys that only this dictionary knows.
    ///
    /// One that somebody holds may yet get a row, and there must not be two of a fingerprint then; those with a row are
    /// held by `byRow`.
    private static func forgetUnheld(_ keys: inout [KeyFingerprint: KnownKey]) {
        var unheld: [KeyFingerprint] = []
        // By index: any copy of the dictionary would hold every key.
        var index = keys.startIndex
        while index != keys.endIndex {
            if isKnownUniquelyReferenced(&keys.values[index]) { unheld.append(keys[index].key) }
            keys.formIndex(after: &index)
        }
        for fingerprint in unheld { keys[fingerprint] = nil }
    }

    /// The key of a row of the outbox.
    func key(row: Int64) -> KnownKey? {
        state.withLock { $0.byRow[row] }
    }

    /// Remembers the row that a key has got, and takes its status from there.
    func adopt(_ key: KnownKey, row: Int64) {
        key.update { $0.row = row }
        state.withLock { state in
            state.keys[key.fingerprint] = key
            state.byRow[row] = key
        }
    }

    /// Makes room for one write of a key, which `release` or `end` takes back; false when the key has never succeeded upstream
    /// and such keys have their fill of pending writes: junk keys cannot fill the queue.
    func admit(_ key: KnownKey, maxPerUnverifiedKey: Int, maxUnverified: Int) -> Bool {
        unverifiedPending.withLock { total in
            key.update { status in
                if !status.isVerified {
                    guard status.pending < maxPerUnverifiedKey, total < maxUnverified else { return false }
                    total += 1
                }
                status.uncommitted += 1
                return true
            }
        }
    }

    /// A write of the key was not committed, or is not known to be.
    func release(_ key: KnownKey) {
        unverifiedPending.withLock { total in
            key.update { status in
                if !status.isVerified { total -= 1 }
                status.uncommitted -= 1
            }
        }
        key.tellObservers()
    }

    /// A write of the key is committed.
    func commit(_ key: KnownKey) {
        key.update { status in
            status.uncommitted -= 1
            status.committed += 1
        }
    }

    /// A committed write of the key has ended.
    func end(_ key: KnownKey, verdict: EndRecord.KeyVerdict?) {
        unverifiedPending.withLock { total in
            key.update { status in
                if !status.isVerified { total -= 1 }
                status.committed -= 1
                switch verdict {
                case .verified:
                    if !status.isVerified { total -= status.pending }
                    (status.isVerified, status.isRefused) = (true, false)
                case .refused: status.isRefused = true
                case nil: break
                }
            }
        }
        key.tellObservers()
    }

    /// The upstream has refused the key with 401.
    func refuse(_ key: KnownKey) {
        key.update { $0.isRefused = true }
    }

    /// Takes over the keys of an outbox that was opened, keeping those that clients hold already.
    func load(_ stored: [StoredKey]) throws(OutboxError) {
        for row in stored {
            let known = state.withLock { $0.keys[row.fingerprint] }
            let key: KnownKey
            if let known {
                key = known
            } else {
                guard let sealed = row.sealed else { continue }
                guard row.masterKeyIdentifier == vault.masterKeyIdentifier,
                    let secret = try? vault.open(sealed, fingerprint: row.fingerprint)
                else {
                    throw OutboxError(
                        .masterKey,
                        "the API keys in the outbox were sealed under another master key; nothing was changed: "
                            + "put the right master key back"
                    )
                }
                key = KnownKey(fingerprint: row.fingerprint, secret: secret)
            }
            unverifiedPending.withLock { total in
                key.update { status in
                    if !status.isVerified { total -= status.pending }
                    status.isVerified = row.isVerified
                    status.isRefused = row.isRefused
                    // What is on its way to the database just now stays counted.
                    status.committed = Int(row.pending)
                    if !status.isVerified { total += status.pending }
                }
            }
            adopt(key, row: row.row)
            key.tellObservers()
        }
    }
}

/// A row of the table of API keys.
struct StoredKey: Sendable {
    var row: Int64
    var fingerprint: KeyFingerprint
    var sealed: [UInt8]?
    var masterKeyIdentifier: [UInt8]
    var isVerified: Bool
    var isRefused: Bool
    var pending: Int64
}
