import GRDB

extension DiskStore {
    /// Writes replies, and makes room for them first.
    func store(
        _ changes: ArraySlice<CacheJournal.StoredChange>,
        time: DiskTime,
        maxVariants: Int,
        _ nextSequence: UInt64,
        _ now: DiskTime.Saved,
        isInUse: (CacheKey) -> Bool
    ) throws {
        guard !changes.isEmpty else { return }
        let before = (replies, evicted)
        do {
            try queue.inTransaction(.immediate) { database in
                let replies = changes.map { DiskReply($0, time) }
                let incoming = replies.reduce(0) { $0 + $1.bytes * 3 / 2 }
                try makeRoom(incoming, isInUse, database)
                for (change, reply) in zip(changes, replies) where reply.bytes <= limits.maxReplyBytes {
                    try store(change, reply, maxVariants, database)
                }
                try save(nextSequence, now, database)
                return .commit
            }
        } catch {
            // The numbers of owners that were new are gone with the transaction.
            forgetOwners()
            (replies, evicted) = before
            throw error
        }
    }

    private func store(
        _ change: CacheJournal.StoredChange,
        _ reply: DiskReply,
        _ maxVariants: Int,
        _ database: Database
    ) throws {
        let owner = try owner(of: change.key.partition, database) ?? newOwner(change.key.partition, database)
        let known = change.mayReplace ? try rows(owner, reply.target, database) : []
        var kept = 0
        // Newest first: all that this request would have chosen gives way, and the oldest beyond the bound.
        for row in known {
            let isReplaced = row.vary.map { VaryKey(text: $0).matches(change.request) } ?? true
            kept += 1
            if isReplaced || kept >= maxVariants { try delete(row.position, database) }
            if isReplaced { kept -= 1 }
        }
        try database.cachedStatement(
            sql: """
                INSERT INTO reply (
                    owner, target_hash, target, vary, sequence, requested, held, born, lifetime, stale_while_revalidate,
                    stale_if_error, stale_if_disconnected, flags, status, date, fields, body, checksum
                ) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
                """
        ).execute(arguments: [
            owner, Int64(bitPattern: StableHash.of(text: reply.target)), reply.target, reply.vary,
            Int64(bitPattern: reply.sequence), reply.requestedMilliseconds, reply.heldUpToMilliseconds,
            reply.bornMilliseconds,
            reply.lifetimeSeconds,
            reply.staleWhileRevalidateSeconds, reply.staleIfErrorSeconds, reply.staleIfDisconnectedSeconds,
            reply.flags.rawValue, Int64(reply.status),
            reply.dateUnixSeconds, reply.fields, reply.body, reply.checksum(change.key.partition),
        ])
        replies += 1
    }
}
