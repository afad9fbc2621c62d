/// A write that is damaged and was set aside, with all that stood in its row.
package struct DamagedWriteReport: Sendable, Equatable {
    /// Its place in the order of commit.
    package var sequence: Int64
    /// `pending`, `dead`, or `receipt` of a write that had ended.
    package var place: String
    /// When it was set aside: wall clock, milliseconds since 1970.
    package var foundAtMilliseconds: Int64
    /// What cannot be read.
    package var reason: String
    /// Its columns as a JSON object: the type of each, and its `text` or `base64`.
    package var content: String
}

/// What operators do with writes that are damaged.
extension Outbox {
    /// Writes that are damaged and were set aside, behind a sequence.
    package func damagedWrites(after sequence: Int64 = 0, limit: Int) async throws -> [DamagedWriteReport] {
        try await engine.reader.damagedWrites(after: sequence, limit: min(max(limit, 1), Self.maxPageWrites))
    }

    /// Discards damaged writes for good.
    ///
    /// - Returns: How many there were.
    package func discardDamaged(_ sequences: [Int64]) async throws -> Int {
        var (found, after): ([DamagedWriteReport], Int64) = ([], 0)
        while true {
            let page = try await damagedWrites(after: after, limit: Self.maxPageWrites)
            found += page.filter { sequences.contains($0.sequence) }
            guard let last = page.last, page.count == Self.maxPageWrites else { break }
            after = last.sequence
        }
        guard !found.isEmpty else { return 0 }
        return try await perform { [found] in DiscardDamaged(writes: found, done: $0) }
    }

    /// Writes and receipts up to which all of the file is looked through behind the start, indexes included.
    private static let maxLookedThrough: Int64 = 100_000

    /// Looks at all pending writes, behind the start; what cannot be read is set aside.
    func lookForDamage() async {
        var next: Int64? = 0
        do {
            while let sequence = next, !Task.isCancelled {
                next = try await engine.reader.look(after: sequence)
                await Task.yield()
            }
            let counts = committedCounts
            guard !Task.isCancelled, counts.pending &+ counts.dead &+ counts.receipts <= Self.maxLookedThrough else {
                return
            }
            let findings = try await check().filter { !$0.contains(Self.setAside) }
            if let first = findings.first { throw OutboxError(.damaged, first, isOfRow: true) }
        } catch {
            commits.reportDamage(error)
        }
    }

    /// What a check says of writes that are set aside already.
    static let setAside = "were damaged and are set aside"
}

/// Discards writes that are damaged.
private struct DiscardDamaged: CommitOperation {
    let writes: [DamagedWriteReport]
    let done: @Sendable (Result<Int, OutboxError>) -> Void

    func run(_ desk: inout CommitDesk) throws -> () -> Void {
        for write in writes { desk.ledger.discardDamaged(write) }
        return { [writes, done] in done(.success(writes.count)) }
    }

    func failed(_ error: OutboxError) { done(.failure(error)) }
}
