import DexatelAPI
package import NIOCore
import NIOHTTP1
import Synchronization

/// The memory tier: stored replies found by key and `Vary`, bounded by bytes, evicted by SIEVE.
///
/// Every call holds one shard's lock for a moment; nothing waits and nothing is called back. Times are monotonic
/// milliseconds and come from the caller.
package final class MemoryCache: Sendable {
    /// The bounds and defaults.
    package var configuration: CacheConfiguration { current.withLock { $0 } }
    private let current: Mutex<CacheConfiguration>
    private let journal: CacheJournal?
    private let shards: [LockedShard]

    private final class LockedShard: Sendable {
        let state: Mutex<Shard>
        init(_ shard: Shard) { state = Mutex(shard) }
    }

    /// Makes an empty cache.
    ///
    /// - Parameters:
    ///   - shards: How many locks; the bytes are divided among them. One is enough while few threads look
    ///   things up.
    ///   - journal: Where changes are noted for the disk tier.
    package init(_ configuration: CacheConfiguration, shards: Int = 1, journal: CacheJournal? = nil) {
        precondition(shards > 0)
        current = Mutex(configuration)
        self.journal = journal
        self.shards = (0..<shards).map { _ in
            LockedShard(
                Shard(maxBytes: configuration.memoryBytes / shards, maxVariants: configuration.maxVariantsPerTarget)
            )
        }
    }

    /// Takes other bounds and defaults; what is stored keeps the lifetime that it was stored with.
    package func reload(_ configuration: CacheConfiguration) {
        current.withLock { $0 = configuration }
        for shard in shards {
            shard.state.withLock { $0.setMaxBytes(configuration.memoryBytes / shards.count) }
        }
    }

    @inline(__always)
    private func shard(_ key: CacheKey) -> LockedShard {
        // The high half: the low one chooses the bucket.
        shards.count == 1 ? shards[0] : shards[Int((key.hash >> 32) % UInt64(shards.count))]
    }

    // MARK: - Reading

    /// What a request may be answered with now.
    ///
    /// - Parameter isRepeated: Whether the same request has been looked up before, and is not to be counted again.
    package func lookup(
        _ key: CacheKey,
        _ request: CacheRequest,
        nowMilliseconds: Int64,
        isRepeated: Bool = false
    ) -> CacheAnswer {
        if request.mustBypass { return .bypass }
        let answer = find(key, request, nowMilliseconds, isRepeated ? 0 : 1)
        guard request.hasConditions else { return answer }
        // Conditions and ranges are read outside the lock: they are as long as clients make them.
        return switch answer {
        case .fresh(let hit): .fresh(CacheHit(hit.response, for: request))
        case .stale(let hit, let revalidate): .stale(CacheHit(hit.response, for: request), revalidate: revalidate)
        default: answer
        }
    }

    @inline(__always)
    private func find(
        _ key: CacheKey,
        _ request: CacheRequest,
        _ nowMilliseconds: Int64,
        _ count: UInt64
    ) -> CacheAnswer {
        shard(key).state.withLock { shard in
            let (found, isKnownTarget) = shard.find(key, request)
            guard let slot = found, let response = shard.slots[slot].response else {
                shard.counters.misses += count
                if request.directives.onlyIfCached { return .onlyIfCached504 }
                return .miss(
                    CacheMiss(
                        forward: isKnownTarget ? .varyMiss : .uriMiss,
                        token: shard.token
                    )
                )
            }
            shard.visit(slot)
            let isInvalidated = shard.slots[slot].isInvalidated
            let decision = CacheDecision.decide(
                response.freshness,
                isInvalidated: isInvalidated,
                request.directives,
                nowMilliseconds: nowMilliseconds
            )
            func validation(_ forward: CacheStatus.Forward) -> CacheValidation {
                CacheValidation(
                    response: response,
                    forward: forward,
                    token: shard.token,
                    isInvalidated: isInvalidated,
                    // Who insists on the upstream's word waits for it.
                    failedEpisode: forward == .stale
                        ? shard.slots[slot].failure.flatMap {
                            // A failure that is remembered is no reason to show what a write has invalidated.
                            nowMilliseconds < $0.untilMilliseconds && !isInvalidated ? $0.episode : nil
                        } : nil
                )
            }
            switch decision {
            case .fresh:
                shard.counters.hits += count
                return .fresh(CacheHit(whole: response, isHead: request.isHead))
            case .stale(let revalidate):
                shard.counters.stale += count
                return .stale(
                    CacheHit(whole: response, isHead: request.isHead),
                    revalidate: revalidate ? validation(.stale) : nil
                )
            case .validate(let forward):
                if request.directives.onlyIfCached { return .onlyIfCached504 }
                shard.counters.validations += count
                return .validate(validation(forward))
            }
        }
    }

    /// What may be answered after the upstream has failed, or is known to be gone (RFC 5861 §4, design §5.5, §5.6).
    ///
    /// Much can have happened since the validation began: what has come in its place stands in, and nothing does where the
    /// key has been refused or the reply purged (P4).
    ///
    /// - Parameter isDisconnected: Whether the upstream cannot be reached, or has not served the request
    ///   (``isUnserved(_:)``); else it has answered with an error.
    /// - Returns: Nil if nothing that is stored may stand in.
    package func staleIfError(
        _ validation: CacheValidation,
        _ key: CacheKey,
        _ request: CacheRequest,
        isDisconnected: Bool,
        nowMilliseconds: Int64
    ) -> StandIn? {
        let path = InvalidationPath.normal(key.target)
        let standIn: StandIn? = shard(key).state.withLock { shard in
            var response = validation.response
            var isInvalidated = validation.isInvalidated
            if let slot = shard.find(key, request).slot, let stored = shard.slots[slot].response {
                response = stored
                isInvalidated = shard.slots[slot].isInvalidated
            } else {
                // It has been evicted, or taken away.
                switch shard.verdict(key, path: path, since: validation.token) {
                case .current: break
                case .invalidated: isInvalidated = true
                case .forgotten: return nil
                }
            }
            let mayServe = CacheDecision.mayServeOnError(
                response.freshness,
                isInvalidated: isInvalidated,
                isDisconnected: isDisconnected,
                request.directives,
                nowMilliseconds: nowMilliseconds
            )
            guard mayServe, !StatusRules.givesWay(response.status) else { return nil }
            shard.counters.staleOnError += 1
            return StandIn(hit: CacheHit(whole: response, isHead: request.isHead), isInvalidated: isInvalidated)
        }
        guard var standIn, request.hasConditions else { return standIn }
        standIn.hit = CacheHit(standIn.hit.response, for: request)
        return standIn
    }

    /// Remembers that the upstream did not answer when a stored reply was to be confirmed: for ``failureMilliseconds`` the
    /// next requests are told so (``CacheValidation/failedEpisode``), and nobody waits for another time-out (P6).
    ///
    /// - Parameter episode: Tells one time of the upstream's health from another.
    package func noteFailure(_ key: CacheKey, _ request: CacheRequest, episode: UInt64, nowMilliseconds: Int64) {
        let failure = Slot.Failure(untilMilliseconds: nowMilliseconds + Self.failureMilliseconds, episode: episode)
        shard(key).state.withLock { shard in
            if let slot = shard.find(key, request).slot { shard.note(failure, of: slot) }
        }
    }

    /// Longer than a time-out, so that the next attempt behind the scenes has ended by then.
    static let failureMilliseconds: Int64 = 30_000

    /// Whether a reply's status counts as a failure of the upstream for ``staleIfError(_:_:_:nowMilliseconds:)``.
    package static func isFailure(_ status: Int) -> Bool { StatusRules.isFailure(status) }

    /// Whether a failure's status says that the request was not served, which is like an upstream that cannot be reached.
    package static func isUnserved(_ status: Int) -> Bool { StatusRules.isUnserved(status) }

    /// Whether a failure may be shown to everybody who waits for the same: with one API key they are one party, and without
    /// one they need not be; what was asked with credentials beside the key is for the one who has them.
    package static func isForAll(_ reply: ReplyHead, to request: CacheRequest, key: CacheKey) -> Bool {
        if request.carriesCredentials { return false }
        if key.partition != .shared { return true }
        let directives = ResponseDirectives(reply.headers)
        let isPersonal = directives.isPrivate || directives.noStore
        return !isPersonal && !["Set-Cookie", "Vary"].contains { reply.headers.contains(name: $0) }
    }

    // MARK: - Storing

    /// The moment from which on what happens to a key counts against a reply that is asked for now.
    package func fetchToken(_ key: CacheKey) -> FetchToken {
        shard(key).state.withLock { $0.token }
    }

    /// Whether nothing has happened to a key since a reply was asked for: no invalidation, purge or refused key.
    ///
    /// A request that comes later may then share that reply while it is still on its way.
    package func isCurrent(_ key: CacheKey, since token: FetchToken) -> Bool {
        let path = InvalidationPath.normal(key.target)
        return shard(key).state.withLock { $0.verdict(key, path: path, since: token) == .current }
    }

    /// Stores a reply whose head was found storable, in the place of what its request would have been answered with.
    ///
    /// - Parameter refusal: Why the whole reply is not to be stored; asked before it is.
    /// - Returns: What was stored, to be answered from and to be written to further tiers.
    /// - Throws: Why it was not stored.
    @discardableResult
    package func store(
        _ plan: StoragePlan,
        body: ByteBuffer,
        refusal: (StoredResponse) -> StoreRefusal? = { _ in nil }
    ) throws(StoreRefusal) -> StoredResponse {
        let response = try plan.response(body: body)
        if let refusal = refusal(response) { throw refusal }
        try shard(plan.key).state.withLock { (shard) throws(StoreRefusal) in
            try store(response, plan.key, plan.request, plan.token, in: &shard)
        }
        journal?.wakeThread()
        return response
    }

    /// Changes are noted under the shard's lock, so that they are noted in the order in which they happen.
    private func store(
        _ response: StoredResponse,
        _ key: CacheKey,
        _ request: CacheRequest,
        _ token: FetchToken,
        in shard: inout Shard
    ) throws(StoreRefusal) {
        let isInvalidated = try shard.store(response, for: key, request, since: token)
        // An error that gives way must not replace what the disk has for a failing upstream.
        if StatusRules.givesWay(response.status) { return }
        journal?.noteStored(response, for: key, request, isInvalidated: isInvalidated)
    }

    /// Puts back what the disk tier has kept, unless something newer is here or has been removed meanwhile.
    ///
    /// - Returns: Whether there is now something like it.
    func restore(
        _ response: StoredResponse,
        for key: CacheKey,
        isInvalidated: Bool,
        since token: FetchToken
    ) -> Bool {
        shard(key).state.withLock { shard in
            // Under the lock: what is forgotten later is found here.
            if journal?.isOutdated(key, heldUpTo: response.heldUpToMilliseconds) == true { return false }
            return shard.restore(response, for: key, isInvalidated: isInvalidated, since: token)
        }
    }

    /// Takes away this very reply, if it is still there.
    func remove(_ response: StoredResponse, _ key: CacheKey) { shard(key).state.withLock { $0.remove(response, key) } }

    /// Whether something that is stored for a key is being read.
    func isRead(_ key: CacheKey) -> Bool {
        shard(key).state.withLock { $0.isRead(key) }
    }

    /// Updates what was to be confirmed by the upstream's 304 (RFC 9111 §4.3.4).
    ///
    /// - Parameter isStoring: Whether the result may be stored; not if it is older than what was stored meanwhile.
    /// - Returns: What to answer with; nil if the 304 speaks of another reply, so that the request is to be repeated
    ///   without conditions.
    package func freshen(
        _ validation: CacheValidation,
        by reply: ReplyHead,
        to request: CacheRequest,
        key: CacheKey,
        isStoring: Bool = true
    ) -> FreshenedResponse? {
        guard let fresh = FreshenedResponse(validation.response, by: reply, to: request, key: key, configuration) else {
            return nil
        }
        shard(key).state.withLock { shard in
            shard.counters.revalidated += 1
            if !isStoring || fresh.isForOneClient { return }
            guard fresh.refusal == nil else {
                shard.remove(validation.response, key)
                journal?.noteForgotten(key)
                return
            }
            try? store(fresh.response, key, request, validation.token, in: &shard)
        }
        journal?.wakeThread()
        return fresh
    }

    /// Compares what is stored with the head of a 200 to HEAD: the same is updated, another invalidated (RFC 9111 §4.3.5).
    package func note(head reply: ReplyHead, to request: CacheRequest, key: CacheKey, since token: FetchToken) {
        guard reply.status == 200 else { return }
        let found = shard(key).state.withLock { shard in
            shard.find(key, request).slot.flatMap { shard.slots[$0].response }
        }
        guard let found, found.status == 200 else { return }
        let length = reply.headers.first(name: "Content-Length").map { $0 == String(found.bodyBytes) } ?? true
        let fresh = FreshenedResponse(found, by: reply, to: request, key: key, configuration)
        shard(key).state.withLock { shard in
            if length, let fresh, fresh.isForOneClient { return }
            if length, let fresh, fresh.refusal == nil {
                try? store(fresh.response, key, request, token, in: &shard)
            } else if shard.invalidate(found, key) {
                journal?.noteStored(found, for: key, request, isInvalidated: true)
            }
        }
        journal?.wakeThread()
    }

    /// Whether two `ETag` values are there, and the same bytes.
    private static func isSame(_ one: String?, _ other: String?) -> Bool {
        guard let one, let other else { return false }
        return one.hasSameBytes(as: other)
    }

    /// Takes notice of a reply to GET that is complete and not stored: what is stored for its request is older, and is
    /// confirmed before it is used again, unless it is the same.
    package func note(unstored reply: ReplyHead, to request: CacheRequest, key: CacheKey) {
        guard (200..<300).contains(reply.status) && reply.status != 206 || reply.status == 404 || reply.status == 410
        else { return }
        let tag = reply.headers.first(name: "ETag")
        shard(key).state.withLock { shard in
            guard let slot = shard.find(key, request).slot, let stored = shard.slots[slot].response,
                stored.requestedMilliseconds <= reply.times.requestMilliseconds,
                reply.status != stored.status || !Self.isSame(tag, stored.fields.first(name: "ETag")),
                !shard.slots[slot].isInvalidated, shard.invalidate(stored, key)
            else { return }
            journal?.noteStored(stored, for: key, request, isInvalidated: true)
        }
        journal?.wakeThread()
    }

    // MARK: - Invalidating and forgetting

    /// Invalidates what is stored for a target's path, the paths above as far as ``InvalidationPath/highestInvalidatedLevel(_:)``, and
    /// those below, with every query; it is then only served once confirmed, or while the upstream fails (RFC 9111 §4.4,
    /// design §5.5).
    ///
    /// - Parameter partition: The key whose replies alone are meant, as the upstream has not taken its write yet; nil for
    ///   all keys. For one key nothing is noted on disk: what is there is still what the upstream says.
    package func invalidate(target: String, in partition: CachePartition? = nil) {
        let path = InvalidationPath.normal(target)
        change { shard, isLast in
            shard.invalidate(path: path, in: partition)
            if isLast, partition == nil { journal?.noteInvalidated(path: path) }
        }
    }

    /// Drops all that was obtained with a key, as the upstream has refused it with 401 (P4).
    package func forget(_ partition: CachePartition) {
        change { shard, isLast in
            shard.forget(partition)
            if isLast { journal?.noteForgotten(partition) }
        }
    }

    /// Drops what is stored for one target and key, as the upstream has refused it with 403 (P4).
    package func forget(_ key: CacheKey) {
        shard(key).state.withLock { shard in
            shard.forget(key)
            journal?.noteForgotten(key)
        }
        journal?.wakeThread()
    }

    /// Drops what a key may not see any more, as the upstream has refused a request with it (P4).
    ///
    /// Returns when that is on disk for good, so that what the refusal is answered with never comes back after a crash.
    package func noteRefusal(_ refusal: KeyRefusal, of key: CacheKey) async {
        guard key.partition != .shared else { return }
        switch refusal {
        case .everything: forget(key.partition)
        case .target: forget(key)
        }
        _ = await journal?.flush()
    }

    /// Replaces stored replies to one target that may lack what was delivered up to a monotonic moment, and leaves
    /// their marks and ages alone.
    ///
    /// - Parameter change: The reply to put in the place; nil takes the reply away.
    package func update(
        _ key: CacheKey,
        deliveredUpTo milliseconds: Int64,
        _ change: (StoredResponse) -> StoredResponse?
    ) {
        shard(key).state.withLock { shard in
            for updated in shard.update(key, deliveredUpTo: milliseconds, change) {
                guard let response = updated.response else {
                    journal?.noteForgotten(key)
                    continue
                }
                // A request like the one that it answered.
                let request = response.vary?.request ?? CacheRequest(method: .GET, headers: [:])
                journal?.noteStored(response, for: key, request, isInvalidated: updated.isInvalidated)
            }
        }
        journal?.wakeThread()
    }

    /// Drops what one partition has stored at exactly this path, with whatever query, and lacks what was delivered up
    /// to a monotonic moment; on disk, where nobody looks for queries, the reply to the path as it stands.
    package func forget(_ partition: CachePartition, path: String, deliveredUpTo milliseconds: Int64) {
        let normal = InvalidationPath.normal(path)
        let plain = CacheKey(partition: partition, target: path)
        for shard in shards {
            shard.state.withLock {
                let keys = $0.forget(partition, path: normal, deliveredUpTo: milliseconds)
                for key in keys where key != plain { journal?.noteOutdated(key, deliveredUpTo: milliseconds) }
            }
        }
        // Under its shard's lock, as a look-up may be bringing it back.
        shard(plain).state.withLock { _ in journal?.noteOutdated(plain, deliveredUpTo: milliseconds) }
        journal?.wakeThread()
    }

    /// Drops what is stored at a path and below it, for all keys, and says how much that was; "/" is everything.
    @discardableResult
    package func purge(path: String) -> Int {
        let path = InvalidationPath.normal(path)
        var count = 0
        change { shard, isLast in
            count += shard.purge(path: path)
            if isLast { journal?.notePurged(path: path) }
        }
        return count
    }

    /// Drops everything, as another upstream answers from now on: its targets are others (RFC 9111 §2, §4).
    ///
    /// - Parameter origin: What precedes each target; kept on disk with its replies.
    package func beginAnew(with origin: String) {
        change { shard, isLast in
            _ = shard.purge(path: "/")
            if isLast { journal?.noteOrigin(origin) }
        }
    }

    /// Changes every shard; a change of all is noted with the last, when it holds for the others already.
    private func change(_ body: (inout Shard, _ isLast: Bool) -> Void) {
        for (number, shard) in shards.enumerated() {
            shard.state.withLock { body(&$0, number == shards.count - 1) }
        }
        journal?.wakeThread()
    }

    /// The counters of all shards together.
    package var counters: CacheCounters {
        shards.reduce(into: CacheCounters()) { sum, shard in
            sum += shard.state.withLock {
                var counters = $0.counters
                counters.bytes = $0.bytes
                return counters
            }
        }
    }
}
