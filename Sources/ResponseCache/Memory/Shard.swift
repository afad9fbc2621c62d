import NIOHTTP1

/// One part of the memory tier: everything behind one lock.
///
/// Eviction is SIEVE: a new reply enters at the front of a queue; a hit only sets a bit; when room is needed, a hand
/// moves from the back towards the front, clears the bit where it is set and takes away the first reply where it is not,
/// and stays there. A scan of cold contacts therefore flows past the replies that are read again and again.
struct Shard {
    private(set) var slots = SlotTable()
    private var index = KeyIndex()
    private var paths = PathIndex()
    private var partitions: [CachePartition: SlotList] = [:]
    private var queue = SlotList()
    private var hand = SlotTable.none
    private var entryBytes = 0
    private(set) var log = EventLog()
    private var ownMarks = OwnInvalidations()
    var counters = CacheCounters()
    private(set) var maxBytes: Int
    let maxVariants: Int

    init(maxBytes: Int, maxVariants: Int) {
        self.maxBytes = maxBytes
        self.maxVariants = maxVariants
    }

    /// What everything takes.
    var bytes: Int { entryBytes + paths.bytes + partitions.count * Self.partitionBytes }

    /// A slot in an array that may just have doubled, and a bucket in an index that is at least 3/8 full.
    private static let slotBytes = 2 * MemoryLayout<Slot>.stride + 8 * 8 / 3

    /// A place in a dictionary that is at least 3/8 full.
    private static let partitionBytes = (MemoryLayout<(CachePartition, SlotList)>.stride + 1) * 8 / 3

    /// The slot, the target's text with its header, and the reply itself.
    static func costBytes(_ key: CacheKey, _ response: StoredResponse) -> Int {
        slotBytes + 32 + key.target.utf8.count + response.costBytes
    }

    // MARK: - Finding

    /// The slot that fits a request, and why there is none.
    @inline(__always)
    func find(_ key: CacheKey, _ request: CacheRequest) -> (slot: UInt32?, isKnownTarget: Bool) {
        guard let first = index.find(key, slots) else { return (nil, false) }
        if slots[first].nextVariant == SlotTable.none, slots[first].response?.vary == nil { return (first, true) }
        return (newestVariant(first, request), true)
    }

    /// Of several that fit, the one with the latest `Date` (RFC 9111 §4.1).
    private func newestVariant(_ first: UInt32, _ request: CacheRequest) -> UInt32? {
        var newest: (slot: UInt32, date: Int64)?
        for slot in variants(first) {
            guard let response = slots[slot].response, response.vary?.matches(request) != false else { continue }
            if newest.map({ response.dateUnixSeconds > $0.date }) != false { newest = (slot, response.dateUnixSeconds) }
        }
        return newest?.slot
    }

    private func variants(_ first: UInt32) -> [UInt32] {
        var found: [UInt32] = []
        var slot = first
        while slot != SlotTable.none {
            found.append(slot)
            slot = slots[slot].nextVariant
        }
        return found
    }

    mutating func note(_ failure: Slot.Failure, of slot: UInt32) { slots[slot].failure = failure }

    mutating func visit(_ slot: UInt32) {
        if !slots[slot].isVisited { slots[slot].isVisited = true }
    }

    // MARK: - Storing

    /// Stores a reply in the place of all that a request like its own would have chosen.
    ///
    /// - Returns: Whether it is stored as invalidated.
    mutating func store(
        _ response: StoredResponse,
        for key: CacheKey,
        _ request: CacheRequest,
        since token: FetchToken
    ) throws(StoreRefusal) -> Bool {
        let path = InvalidationPath.normal(key.target)
        let verdict = verdict(key, path: path, since: token)
        if case .forgotten = verdict { throw .superseded }
        let cost = Self.costBytes(key, response)
        if let first = index.find(key, slots) {
            let all = variants(first)
            let replaced = all.filter { slots[$0].response?.vary?.matches(request) != false }
            // A reply from before an invalidation must not take the place of one from after it.
            if verdict == .invalidated, replaced.contains(where: { !slots[$0].isInvalidated }) { throw .superseded }
            // Nor an error that of a reply which may be served while the upstream fails.
            if StatusRules.givesWay(response.status), replaced.contains(where: isGood) { throw .goodStored }
            // Nor one that took its time the place of one that was asked for later.
            if replaced.contains(where: { isLater($0, than: response) }) { throw .superseded }
            if let same = replaced.first, replaced.count == 1, bytes - slots[same].costBytes + cost <= maxBytes {
                replace(same, response, cost, verdict)
                return verdict == .invalidated
            }
            for slot in replaced { remove(slot) }
            if replaced.isEmpty, all.count >= maxVariants, let oldest = all.last { remove(oldest) }
        }
        guard makeRoom(cost + PathIndex.maxCost(path) + Self.partitionBytes) else { throw .tooLarge }
        insert(response, key, path, cost, verdict)
        counters.stored += 1
        return verdict == .invalidated
    }

    private func isGood(_ slot: UInt32) -> Bool {
        slots[slot].response.map { !StatusRules.givesWay($0.status) } ?? false
    }

    private func isLater(_ slot: UInt32, than response: StoredResponse) -> Bool {
        slots[slot].response.map { $0.requestedMilliseconds > response.requestedMilliseconds } ?? false
    }

    /// Puts back what a further tier has kept; what is here is newer than anything that it has.
    ///
    /// - Returns: Whether there is now something like it.
    mutating func restore(
        _ response: StoredResponse,
        for key: CacheKey,
        isInvalidated: Bool,
        since token: FetchToken
    ) -> Bool {
        let path = InvalidationPath.normal(key.target)
        let verdict = verdict(key, path: path, since: token)
        if case .forgotten = verdict { return false }
        let known = index.find(key, slots).map(variants) ?? []
        if known.contains(where: { slots[$0].response?.vary == response.vary }) { return true }
        let cost = Self.costBytes(key, response)
        guard known.count < maxVariants, makeRoom(cost + PathIndex.maxCost(path) + Self.partitionBytes) else {
            return false
        }
        insert(response, key, path, cost, isInvalidated ? .invalidated : verdict)
        counters.restored += 1
        return true
    }

    /// Whether something that is stored for a key has been read since SIEVE's hand last passed.
    func isRead(_ key: CacheKey) -> Bool {
        guard let first = index.find(key, slots) else { return false }
        return variants(first).contains { slots[$0].isVisited }
    }

    private mutating func replace(_ slot: UInt32, _ response: StoredResponse, _ cost: Int, _ verdict: EventLog.Verdict)
    {
        entryBytes += cost - slots[slot].costBytes
        slots[slot].response = response
        slots[slot].costBytes = cost
        slots[slot].isInvalidated = verdict == .invalidated
        slots[slot].failure = nil
        if verdict == .current { paths[slots[slot].pathNode].noteCurrent(for: slots[slot].key.partition) }
        counters.stored += 1
    }

    private mutating func insert(
        _ response: StoredResponse,
        _ key: CacheKey,
        _ path: String,
        _ cost: Int,
        _ verdict: EventLog.Verdict
    ) {
        let node = paths.node(path)
        let slot = slots.add(Slot(key: key, response: response, pathNode: node, costBytes: cost))
        slots[slot].isInvalidated = verdict == .invalidated
        if verdict == .current { paths[node].noteCurrent(for: key.partition) }
        if let first = index.find(key, slots) {
            slots[slot].nextVariant = slots[first].nextVariant
            slots[first].nextVariant = slot
        } else {
            index.insert(key.hash, slot, slots)
        }
        slots.link(slot, into: &queue, .queue)
        slots.link(slot, into: &paths[node].slots, .path)
        slots.link(slot, into: &partitions[key.partition, default: SlotList()], .partition)
        entryBytes += cost
        counters.entries += 1
    }

    // MARK: - Removing

    mutating func remove(_ slot: UInt32) {
        let key = slots[slot].key
        let node = slots[slot].pathNode
        let next = slots[slot].nextVariant
        if let first = index.find(key, slots) {
            if first != slot {
                var before = first
                while slots[before].nextVariant != slot { before = slots[before].nextVariant }
                slots[before].nextVariant = next
            } else if next != SlotTable.none {
                index.replace(key, with: next, slots)
            } else {
                index.remove(key, slots)
            }
        }
        if hand == slot { hand = slots.previous(slot, .queue) }
        slots.unlink(slot, from: &queue, .queue)
        slots.unlink(slot, from: &paths[node].slots, .path)
        paths.removeIfEmpty(node)
        if var list = partitions[key.partition] {
            slots.unlink(slot, from: &list, .partition)
            partitions[key.partition] = list.isEmpty ? nil : list
        }
        entryBytes -= slots[slot].costBytes
        counters.entries -= 1
        slots.free(slot)
    }

    /// Takes another bound, and evicts what is beyond it.
    mutating func setMaxBytes(_ maxBytes: Int) {
        self.maxBytes = maxBytes
        _ = makeRoom(0)
    }

    /// Evicts until so many bytes are free; false if that many never are.
    private mutating func makeRoom(_ needed: Int) -> Bool {
        guard needed <= maxBytes else { return false }
        while bytes + needed > maxBytes, !queue.isEmpty { evict() }
        return true
    }

    private mutating func evict() {
        var slot = hand == SlotTable.none ? queue.last : hand
        while slots[slot].isVisited {
            slots[slot].isVisited = false
            let previous = slots.previous(slot, .queue)
            slot = previous == SlotTable.none ? queue.last : previous
        }
        hand = slots.previous(slot, .queue)
        remove(slot)
        counters.evicted += 1
    }

    // MARK: - Invalidating and forgetting

    /// The moment from which on what happens counts against what is asked for now.
    var token: FetchToken { FetchToken(sequence: log.sequence, ownSequence: ownMarks.sequence) }

    /// What has become of a reply that was asked for at a moment.
    func verdict(_ key: CacheKey, path: String, since token: FetchToken) -> EventLog.Verdict {
        let verdict = log.verdict(key, path: path, since: token)
        guard verdict == .current else { return verdict }
        return ownMarks.concern(key.partition, path: path, since: token.ownSequence) ? .invalidated : .current
    }

    /// Marks what is stored at a path, above it as far as ``InvalidationPath/highestInvalidatedLevel(_:)``, and below it, with all
    /// queries: for one partition, or for all.
    mutating func invalidate(path: String, in partition: CachePartition? = nil) {
        if let partition {
            ownMarks.invalidate(partition, path: path)
            // Who has nothing stored costs nobody anything.
            guard partitions[partition] != nil else { return }
        } else {
            log.note(.invalidated(path: EventLog.bounded(path)))
        }
        if let node = paths.find(path) {
            for below in paths.subtree(node) { mark(below, partition) }
        }
        markAbove(path, partition)
    }

    /// From the first one that is there on, each knows its parent.
    private mutating func markAbove(_ path: String, _ partition: CachePartition?) {
        var (text, node) = (path, paths.find(path))
        for _ in InvalidationPath.highestInvalidatedLevel(path)..<InvalidationPath.level(path) {
            if let known = node {
                node = paths[known].parent
            } else {
                text = PathIndex.parent(text) ?? "/"
                node = paths.find(text)
            }
            if let node { mark(node, partition) }
        }
    }

    private mutating func mark(_ node: UInt32, _ partition: CachePartition?) {
        guard !paths[node].isAllInvalidated, partition.map({ paths[node].isInvalidated(for: $0) }) != true else {
            return
        }
        if let partition { paths[node].noteInvalidated(for: partition) } else { paths[node].isAllInvalidated = true }
        var slot = paths[node].slots.first
        while slot != SlotTable.none {
            if !slots[slot].isInvalidated, partition.map({ slots[slot].key.partition == $0 }) != false {
                slots[slot].isInvalidated = true
                counters.invalidated += 1
            }
            slot = slots.next(slot, .path)
        }
    }

    /// Takes away what belongs to a partition.
    mutating func forget(_ partition: CachePartition) {
        log.note(.forgotten(partition: partition))
        ownMarks.forget(partition)
        while let slot = partitions[partition]?.first { remove(slot) }
    }

    /// Takes away what is stored for a key.
    mutating func forget(_ key: CacheKey) {
        log.note(.forgottenKey(hash: key.hash))
        while let slot = index.find(key, slots) { remove(slot) }
    }

    /// What has become of a reply that was to be replaced.
    struct Updated {
        /// Nil if it is gone.
        var response: StoredResponse?
        var isInvalidated: Bool
    }

    /// Replaces or takes away what is stored for a key and may lack what was delivered up to a moment.
    mutating func update(
        _ key: CacheKey,
        deliveredUpTo milliseconds: Int64,
        _ change: (StoredResponse) -> StoredResponse?
    ) -> [Updated] {
        guard let first = index.find(key, slots) else { return [] }
        var updated: [Updated] = []
        for slot in variants(first) {
            guard let old = slots[slot].response, old.heldUpToMilliseconds <= milliseconds else { continue }
            let new = change(old)
            let cost = new.map { Self.costBytes(key, $0) } ?? 0
            guard let new, bytes - slots[slot].costBytes + cost <= maxBytes else {
                updated.append(Updated(response: nil, isInvalidated: true))
                remove(slot)
                continue
            }
            updated.append(Updated(response: new, isInvalidated: slots[slot].isInvalidated))
            entryBytes += cost - slots[slot].costBytes
            slots[slot].response = new
            slots[slot].costBytes = cost
        }
        return updated
    }

    /// Takes away what a partition has at exactly this path and lacks what was delivered up to a moment; says what that
    /// was.
    mutating func forget(
        _ partition: CachePartition,
        path: String,
        deliveredUpTo milliseconds: Int64
    ) -> [CacheKey] {
        guard let node = paths.find(path) else { return [] }
        var forgotten: [UInt32] = []
        var slot = paths[node].slots.first
        while slot != SlotTable.none {
            let key = slots[slot].key
            if key.partition == partition,
                slots[slot].response.map({ $0.heldUpToMilliseconds <= milliseconds }) == true
            {
                forgotten.append(slot)
            }
            slot = slots.next(slot, .path)
        }
        let keys = forgotten.map { slots[$0].key }
        for slot in forgotten { remove(slot) }
        return keys
    }

    /// Takes away what is stored at a path and below it.
    mutating func purge(path: String) -> Int {
        log.note(.purged(path: EventLog.bounded(path)))
        guard let node = paths.find(path) else { return 0 }
        var purged: [UInt32] = []
        for below in paths.subtree(node) {
            var slot = paths[below].slots.first
            while slot != SlotTable.none {
                purged.append(slot)
                slot = slots.next(slot, .path)
            }
        }
        for slot in purged { remove(slot) }
        return purged.count
    }

    /// Marks the stored reply that is this very one; what has replaced it is left alone.
    ///
    /// - Returns: Whether it was still there.
    mutating func invalidate(_ response: StoredResponse, _ key: CacheKey) -> Bool {
        guard let slot = slot(of: response, key) else { return false }
        slots[slot].isInvalidated = true
        counters.invalidated += 1
        return true
    }

    /// Takes away the stored reply that is this very one.
    mutating func remove(_ response: StoredResponse, _ key: CacheKey) {
        if let slot = slot(of: response, key) { remove(slot) }
    }

    private func slot(of response: StoredResponse, _ key: CacheKey) -> UInt32? {
        guard let first = index.find(key, slots) else { return nil }
        return variants(first).first { slots[$0].response === response }
    }
}
