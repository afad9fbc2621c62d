package import DexatelAPI

/// What operators do with the keys that the queue refers to (design §8).
extension Outbox {
    /// The keys that the outbox knows, without the keys.
    package func keySummaries() async throws -> [KeySummary] {
        try await engine.reader.keySummaries()
    }

    /// A contact to try a new key with before it replaces another; nil when there is none near the head of the queue.
    package func candidateContact(ofKey fingerprintPrefix: String) async throws -> ContactReference? {
        let row = try await self.row(ofKey: fingerprintPrefix)
        return try await engine.reader.contact(ofKeys: keys.rows(of: row))
    }

    /// Lets another key take over all that is pending, held or dead of one: from then on it is sent with the new key, and
    /// the old one is refused.
    ///
    /// The caller has seen the upstream take the new key for a contact of the old one's (`candidateContact(ofKey:)`).
    package func replaceKey(_ fingerprintPrefix: String, by secret: Secret) async throws {
        let row = try await self.row(ofKey: fingerprintPrefix)
        let new = keys.key(for: secret)
        try await perform { done in ReplaceKey(row: row, new: new, done: done) }
    }

    /// The upstream has taken a key with a request that was no write of the outbox: its writes are not those of a key that
    /// has never succeeded (`writes.max_pending_unverified…`), over restarts too.
    ///
    /// To be called for each such reply; what is known already costs one short lock.
    package func noteTaken(_ key: KnownKey) {
        noteAnswered(key)
        guard keys.verify(key) else { return }
        commits.perform(RememberVerified(key: key))
    }

    /// The upstream itself has answered a request with a key that was no write of the outbox, and not with 401: if the key
    /// is held, its writes go on.
    ///
    /// To be called for each such reply; for a key that is not held it costs one short lock.
    package func noteAnswered(_ key: KnownKey) {
        let status = key.current
        guard status.isRefused || status.isHeld, !status.isReplaced, key.beginTaking() else { return }
        commits.perform(TakeKey(key: key))
    }

    private func row(ofKey fingerprintPrefix: String) async throws -> Int64 {
        let prefix = fingerprintPrefix.lowercased()
        guard !prefix.isEmpty else { throw KeyReplacementFault.unknownKey }
        let found = keys.rows(fingerprintPrefix: prefix)
        guard found.count < 2 else { throw KeyReplacementFault.ambiguousFingerprint }
        guard let row = found.first else { throw KeyReplacementFault.unknownKey }
        return row
    }
}
