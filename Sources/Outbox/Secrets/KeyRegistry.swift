package import DexatelAPI
import Synchronization

/// The API keys that the running relay knows: those of the outbox, and those that clients showed lately.
package final class KeyRegistry: Sendable {
    /// Keys without a row that are remembered at most; past it those that nobody holds are forgotten and met anew.
    static let maxTransientKeys = 10_000

    /// Fingerprints and seals.
    package let vault: KeyVault
    /// Opens what was sealed before the master key was changed.
    private let previousVault: KeyVault?

    private struct State {
        var keys: [KeyFingerprint: KnownKey] = [:]
        /// The keys that writes of a row are sent with: its own, or that of its successor.
        var byRow: [Int64: KnownKey] = [:]
        /// Keys that were replaced, by their own row.
        var replaced: [Int64: KnownKey] = [:]
        /// Whether any row's writes are sent with another's key.
        var hasReplaced = false
        /// Keys whose seals were dropped, as nothing is to be sent with them: what is known of them counts on.
        var dormant: [KeyFingerprint: StoredKey] = [:]
    }

    private let state = Mutex(State())

    /// What there is of keys that have never succeeded upstream.
    private struct Unverified {
        /// Their pending writes.
        var pending = 0
        /// How many of them the outbox has, or is about to have (`KnownKey.Status.isCounted`).
        var keys = 0
    }

    /// Locked before `state` and before a key's own status.
    private let unverified = Mutex(Unverified())

    init(vault: KeyVault, previousVault: KeyVault? = nil) {
        self.vault = vault
        self.previousVault = previousVault
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
            if let dormant = state.dormant.removeValue(forKey: fingerprint) {
                key.update { status in
                    status.take(dormant)
                    // As dormant it was counted already.
                    _ = status.count()
                }
                if dormant.successor == nil {
                    state.byRow[dormant.row] = key
                } else {
                    state.replaced[dormant.row] = key
                }
            }
            return key
        }
    }

    /// Forgets the keys that only this dictionary knows.
    ///
    /// One that somebody holds may yet get a row, and there must not be two of a fingerprint then; those with a row are
    /// held by `byRow` or `replaced`.
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

    /// The key that writes of a row of the outbox are sent with.
    func key(row: Int64) -> KnownKey? {
        state.withLock { $0.byRow[row] }
    }

    /// The keys whose acknowledged writes wait for them, by the rows that are used.
    var heldRows: [Int64] {
        state.withLock { state in
            Set(state.byRow.values.compactMap { key in key.current.isHeld ? key.current.row : nil }).sorted()
        }
    }

    /// The keys that have pending writes, by the rows that writes have.
    var rowsWithPending: [Int64] {
        state.withLock { state in state.byRow.filter { $0.value.current.pending > 0 }.keys.sorted() }
    }

    /// The row of that key.
    func effectiveRow(_ row: Int64) -> Int64 { key(row: row)?.current.row ?? row }

    /// The rows whose writes are sent with a key: its own, and those of the keys that it replaces.
    func rows(of row: Int64) -> [Int64] {
        state.withLock { state in
            guard let key = state.byRow[row] else { return [row] }
            guard state.hasReplaced else { return [row] }
            return state.byRow.filter { $0.value === key }.map(\.key).sorted()
        }
    }

    /// Whether a key replaces the one with this fingerprint.
    func isHeir(_ key: KnownKey, of fingerprint: KeyFingerprint) -> Bool {
        state.withLock { state in
            guard let row = state.keys[fingerprint]?.current.row ?? state.dormant[fingerprint]?.row else {
                return false
            }
            return state.byRow[row] === key
        }
    }

    /// The rows of the keys whose fingerprints begin so, in hexadecimal digits, and that were not replaced; two of them
    /// are enough to know that more than one is meant.
    func rows(fingerprintPrefix prefix: String) -> [Int64] {
        let keys = state.withLock { Array($0.keys.values) }
        return Array(
            keys.filter { $0.fingerprint.hexadecimal.hasPrefix(prefix) && !$0.current.isReplaced }
                .compactMap(\.current.row).prefix(2)
        )
    }

    /// Remembers the row that a key has got, and takes its status from there.
    func adopt(_ key: KnownKey, row: Int64, isSealed: Bool = true) {
        unverified.withLock { unverified in
            key.update { status in
                status.row = row
                status.isSealed = isSealed
                unverified.keys += status.count()
            }
        }
        state.withLock { state in
            state.keys[key.fingerprint] = key
            state.byRow[row] = key
        }
    }

    // MARK: - Counting

    /// Makes room for one write of a key, which `release` or `end` takes back; says why there is none when the key has never
    /// succeeded upstream and such keys have their fill of pending writes, or are too many: junk keys can fill neither the
    /// queue nor the outbox.
    func admit(
        _ key: KnownKey,
        maxPerUnverifiedKey: Int,
        maxUnverified: Int,
        maxUnverifiedKeys: Int = .max
    ) -> OutboxUnavailability? {
        unverified.withLock { unverified in
            key.update { status in
                if !status.isVerified {
                    guard status.pending < maxPerUnverifiedKey, unverified.pending < maxUnverified else {
                        return .unverifiedKeyLimit
                    }
                    guard status.isCounted || unverified.keys < maxUnverifiedKeys else { return .keyLimit }
                    unverified.pending += 1
                }
                status.uncommitted += 1
                unverified.keys += status.count()
                return nil
            }
        }
    }

    /// Keys that have never succeeded upstream, of which the outbox has something or is about to.
    package var unverifiedKeys: Int { unverified.withLock { $0.keys } }

    /// A write of the key was not committed, or is not known to be.
    func release(_ key: KnownKey) {
        unverified.withLock { unverified in
            key.update { status in
                if !status.isVerified { unverified.pending -= 1 }
                status.uncommitted -= 1
                unverified.keys += status.count()
            }
        }
        key.tellObservers()
    }

    /// A write of the key is committed.
    func commit(_ key: KnownKey) {
        let heir = key.current.isReplaced ? key.current.row.flatMap(self.key(row:)) : nil
        guard let heir else {
            return key.update { status in
                status.uncommitted -= 1
                status.committed += 1
            }
        }
        // It was on its way when its key was replaced.
        release(key)
        revive(heir)
    }

    /// A committed write of the key has ended.
    func end(_ key: KnownKey, verdict: EndRecord.KeyVerdict?, isDead: Bool = false) {
        unverified.withLock { unverified in
            key.update { status in
                if !status.isVerified { unverified.pending -= 1 }
                status.committed -= 1
                if isDead { status.dead += 1 }
                switch verdict {
                case .verified:
                    if !status.isVerified { unverified.pending -= status.pending }
                    (status.isVerified, status.isRefused) = (true, false)
                    unverified.keys += status.count()
                case .refused: status.isRefused = true
                case nil: break
                }
            }
        }
        key.tellObservers()
    }

    /// A write of the key is pending again.
    func revive(_ key: KnownKey) {
        unverified.withLock { unverified in
            key.update { status in
                if !status.isVerified { unverified.pending += 1 }
                status.committed += 1
            }
        }
    }

    /// Dead writes of the key are dead no more.
    func forgetDead(_ key: KnownKey, count: Int) {
        key.update { $0.dead = max(0, $0.dead - count) }
    }

    // MARK: - Verdicts

    /// The upstream has refused an acknowledged write of the key with 401.
    func refuse(_ key: KnownKey) { key.update { $0.isRefused = true } }

    /// The upstream has answered the key otherwise than with 401.
    func take(_ key: KnownKey) {
        key.update { status in
            if !status.isReplaced { status.isRefused = false }
            status.isBeingTaken = false
        }
    }

    /// Acknowledged writes of the key wait for it from now on, or no longer; whether that is a change.
    func setHeld(_ key: KnownKey, _ isHeld: Bool) -> Bool {
        key.update { status in
            defer { status.isHeld = isHeld }
            if isHeld { status.isBeingTaken = false }
            return status.isHeld != isHeld
        }
    }

    /// So many more writes of the key are held by themselves, or with their contact.
    func countHeld(_ key: KnownKey, _ change: Int) { key.update { $0.held += change } }

    /// The upstream has taken the key with a request that was no write of the outbox; whether that is news.
    ///
    /// Of a key that it refuses for writes it says nothing: those find out by themselves.
    func verify(_ key: KnownKey) -> Bool {
        let status = key.current
        guard !status.isVerified, !status.isRefused, !status.isReplaced else { return false }
        return unverified.withLock { unverified in
            key.update { status in
                guard !status.isVerified, !status.isRefused, !status.isReplaced else { return false }
                unverified.pending -= status.pending
                status.isVerified = true
                unverified.keys += status.count()
                return true
            }
        }
    }

    /// A write of the key is held on a 403; whether it is the first, as far as the log says.
    func forbid(_ key: KnownKey) -> Bool {
        key.update { status in
            defer { status.isForbiddenTold = true }
            return !status.isForbiddenTold
        }
    }

    /// No write of the key is held on a 403 any more.
    func allow(_ key: KnownKey) { key.update { $0.isForbiddenTold = false } }

    /// A key has been replaced by another, which the upstream has taken; both have rows.
    func replace(_ old: KnownKey, row oldRow: Int64, by new: KnownKey) {
        unverified.withLock { unverified in
            let moved = old.update { status in
                defer {
                    if !status.isVerified { unverified.pending -= status.committed }
                    (status.committed, status.dead, status.held) = (0, 0, 0)
                    (status.isReplaced, status.isSealed, status.isRefused) = (true, false, true)
                    status.isHeld = false
                }
                return (pending: status.committed, dead: status.dead, held: status.held)
            }
            new.update { status in
                if !status.isVerified { unverified.pending -= status.pending }
                (status.isVerified, status.isRefused, status.isHeld) = (true, false, false)
                status.committed += moved.pending
                status.dead += moved.dead
                status.held += moved.held
                unverified.keys += status.count()
            }
        }
        state.withLock { state in
            state.replaced[oldRow] = old
            state.hasReplaced = true
            for (row, key) in state.byRow where key === old { state.byRow[row] = new }
            state.byRow[oldRow] = new
        }
        old.tellObservers()
    }

    /// The seals of these keys were dropped.
    func unseal(_ rows: [Int64]) {
        for row in rows { key(row: row)?.update { $0.isSealed = false } }
    }

    /// These keys are not in the outbox any more.
    func forget(_ rows: [Int64]) {
        let rows = Set(rows)
        unverified.withLock { unverified in
            let forgotten = state.withLock { state in
                let forgotten = state.keys.values.filter { $0.current.row.map(rows.contains) ?? false }
                for row in rows {
                    state.byRow[row] = nil
                    state.replaced[row] = nil
                }
                for (fingerprint, key) in state.dormant where rows.contains(key.row) {
                    state.dormant[fingerprint] = nil
                    if !key.isVerified { unverified.keys -= 1 }
                }
                return forgotten
            }
            for key in forgotten {
                let (pending, keys) = key.update { status in
                    let becomesUnverified = status.isVerified ? status.uncommitted : 0
                    status.forget()
                    return (becomesUnverified, status.count())
                }
                unverified.pending += pending
                unverified.keys += keys
            }
        }
    }

    // MARK: - Loading

    /// Takes over the keys of an outbox that was opened, keeping those that clients hold already.
    func load(_ stored: [StoredKey]) throws(OutboxError) {
        var byRow: [Int64: KnownKey] = [:]
        for row in stored {
            guard let key = try known(row) else { continue }
            unverified.withLock { unverified in
                key.update { status in
                    if !status.isVerified { unverified.pending -= status.pending }
                    status.take(row)
                    if !status.isVerified { unverified.pending += status.pending }
                    unverified.keys += status.count()
                }
            }
            byRow[row.row] = key
        }
        inherit(stored, byRow)
        for key in byRow.values { key.tellObservers() }
    }

    /// The key of a row, if there is a seal or somebody has shown it; else it is remembered for when somebody does.
    private func known(_ row: StoredKey) throws(OutboxError) -> KnownKey? {
        if let known = state.withLock({ $0.keys[row.fingerprint] }) { return known }
        guard let sealed = row.sealed else {
            unverified.withLock { unverified in
                let isNew = state.withLock { $0.dormant.updateValue(row, forKey: row.fingerprint) == nil }
                if isNew, !row.isVerified { unverified.keys += 1 }
            }
            return nil
        }
        let opener = row.masterKeyIdentifier == vault.masterKeyIdentifier ? vault : previousVault
        guard let opener, opener.masterKeyIdentifier == row.masterKeyIdentifier,
            let secret = try? opener.open(sealed, fingerprint: row.fingerprint)
        else { throw KeyVault.wrongMasterKey }
        return KnownKey(fingerprint: row.fingerprint, secret: secret)
    }

    /// Lets the writes of replaced keys be those of their successors.
    private func inherit(_ stored: [StoredKey], _ byRow: [Int64: KnownKey]) {
        let successors = Dictionary(
            stored.compactMap { row in row.successor.map { (row.row, $0) } },
            uniquingKeysWith: { first, _ in first }
        )
        for row in stored where row.successor != nil {
            var last = row.row
            // A chain is never longer than there are keys.
            for _ in stored { last = successors[last] ?? last }
            guard let heir = byRow[last], byRow[row.row] !== heir else { continue }
            unverified.withLock { unverified in
                heir.update { status in
                    if !status.isVerified { unverified.pending += Int(row.pending) }
                    status.committed += Int(row.pending)
                    status.dead += Int(row.dead)
                    status.held += Int(row.held)
                }
            }
            state.withLock { state in
                state.byRow[row.row] = heir
                state.hasReplaced = true
                if let own = byRow[row.row] { state.replaced[row.row] = own }
            }
        }
        state.withLock { state in
            for (row, key) in byRow {
                state.keys[key.fingerprint] = key
                if successors[row] == nil { state.byRow[row] = key }
            }
        }
    }

    /// What has to be sealed anew, as the master key has changed.
    func resealed(_ stored: [StoredKey]) throws -> [OutboxTransaction.KeyRow] {
        try stored.compactMap { row in
            guard row.sealed != nil, row.masterKeyIdentifier != vault.masterKeyIdentifier,
                let key = state.withLock({ $0.keys[row.fingerprint] })
            else { return nil }
            return OutboxTransaction.KeyRow(
                row: row.row,
                fingerprint: row.fingerprint,
                sealed: try vault.seal(key.secret, fingerprint: row.fingerprint),
                masterKeyIdentifier: vault.masterKeyIdentifier
            )
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
    var dead: Int64 = 0
    /// The key that replaced it.
    var successor: Int64?
    /// Its pending writes that are held by themselves, or with their contact.
    var held: Int64 = 0
    /// Whether acknowledged writes wait until the upstream takes it again.
    var isHeld = false
}
