package import DexatelAPI
import NIOCore
package import Outbox
package import ResponseCache
import Synchronization

/// Knows which reads have to show writes that are under way, and what was delivered behind the back of what is stored
/// (P5, design §5.4); invalidates what writes make doubtful (§5.5).
///
/// What is pending is read from the outbox when it is to be shown: nothing here grows with the backlog.
package final class PendingOverlay: OutboxChangeObserver {
    /// Delivered writes that are remembered at most.
    package static let maxDelivered = 8_192
    /// Bytes that they may take.
    static let maxDeliveredBytes = 4 << 20
    /// Bytes that rendered replies may take.
    static let maxRenderedBytes = 8 << 20

    private struct State {
        var delivered: DeliveredChanges
        var rendered: RenderedOverlays
    }

    private let cache: MemoryCache
    private let semantics: PutSemantics
    private let clock: ReadClock
    private let state: Mutex<State>
    /// Whether anything was ever delivered: without it a hit need not look.
    private let hasDelivered = Atomic<Bool>(false)

    /// - Parameters:
    ///   - semantics: `writes.put_semantics`.
    ///   - maxDelivered: Delivered writes that are remembered at most.
    package init(
        cache: MemoryCache,
        semantics: PutSemantics,
        clock: ReadClock = ReadClock(),
        maxDelivered: Int = PendingOverlay.maxDelivered
    ) {
        self.cache = cache
        self.semantics = semantics
        self.clock = clock
        state = Mutex(
            State(
                delivered: DeliveredChanges(maxEntries: maxDelivered, maxBytes: Self.maxDeliveredBytes),
                rendered: RenderedOverlays(maxBytes: Self.maxRenderedBytes)
            )
        )
    }

    // MARK: - The outbox's news

    package func accepted(_ contact: ContactReference, by key: KeyFingerprint) { change(contact, key) }

    package func ended(_ contact: ContactReference, by key: KeyFingerprint?, isConfirmed: Bool) {
        // What the upstream has confirmed was invalidated when it was; all that was asked for since holds it.
        change(contact, isConfirmed ? nil : key)
    }

    /// Invalidates what is rendered of a contact, and what the key itself has stored.
    ///
    /// A reply that the key asked for before is stored as invalidated. Others see nothing of a write that the upstream
    /// has not confirmed.
    private func change(_ contact: ContactReference, _ key: KeyFingerprint?) {
        if let key { cache.invalidate(target: contact.path, in: CachePartition(key)) }
        state.withLock { $0.rendered.change(contact) }
    }

    package func delivered(_ write: DeliveredWrite) {
        // That there is no such contact is an error, though the write has ended well (RFC 9111 §4.4).
        cache.invalidate(target: write.contact.path, in: write.isConfirmed ? nil : CachePartition(write.key))
        let change = write.reply.withUnsafeReadableBytes { reply in
            write.body.withUnsafeReadableBytes { body in
                PendingChange(
                    delivered: write.sequence,
                    putBody: write.method == .put ? body : nil,
                    reply: reply
                )
            }
        }
        guard let change else { return }
        let entry = DeliveredChanges.Entry(
            place: .init(partition: CachePartition(write.key), contact: write.contact),
            change: change,
            atMilliseconds: clock.milliseconds()
        )
        let (known, gone) = state.withLock { state in
            state.rendered.change(write.contact)
            let known = state.delivered.entries(entry.place)
            return (known + [entry], state.delivered.add(entry))
        }
        hasDelivered.store(true, ordering: .releasing)
        workIn(known, upTo: entry)
        for entry in gone { forget(entry) }
    }

    /// Works deliveries into the contact's reply in memory, which is then written to disk (design §5.4).
    ///
    /// - Parameter known: All that is remembered of the contact: a reply that has come from disk lacks more than the
    ///   latest.
    private func workIn(_ known: [DeliveredChanges.Entry], upTo latest: DeliveredChanges.Entry) {
        let contact = latest.place.contact
        cache.update(
            CacheKey(partition: latest.place.partition, target: contact.path),
            deliveredUpTo: latest.atMilliseconds
        ) { base in
            let changes = known.filter { $0.atMilliseconds >= base.heldUpToMilliseconds }.map(\.change)
            return base.workingIn(changes, of: contact, upTo: latest.atMilliseconds, semantics)
        }
    }

    /// Drops the replies that lack a delivery which is not remembered any more, in memory and on disk: pages of its
    /// audience, and replies to the contact into which it was not worked.
    private func forget(_ entry: DeliveredChanges.Entry) {
        let (contact, partition) = (entry.place.contact, entry.place.partition)
        cache.forget(partition, path: contact.listPath, deliveredUpTo: entry.atMilliseconds)
        cache.forget(partition, path: contact.path, deliveredUpTo: entry.atMilliseconds)
    }

    // MARK: - Over restarts

    /// What replies on disk may lack.
    package var record: DeliveredRecord {
        state.withLock { state in
            var record = DeliveredRecord()
            record.entries = state.delivered.all.map {
                DeliveredRecord.Entry(
                    partition: $0.place.partition,
                    contact: $0.place.contact,
                    change: $0.change,
                    atMilliseconds: $0.atMilliseconds
                )
            }
            if state.delivered.commonHorizon > .min {
                record.commonHorizonMilliseconds = state.delivered.commonHorizon
            }
            record.horizons = state.delivered.horizons.map {
                DeliveredRecord.Horizon(partition: $0.partition, audience: $0.audience, atMilliseconds: $1)
            }
            return record
        }
    }

    /// Goes on from what an earlier run remembered; to be called before the first delivery.
    package func restore(_ record: DeliveredRecord) {
        guard !record.isEmpty else { return }
        let gone = state.withLock { state in
            if let common = record.commonHorizonMilliseconds { state.delivered.addCommonHorizon(common) }
            for horizon in record.horizons {
                state.delivered.addHorizon(
                    .init(partition: horizon.partition, audience: horizon.audience),
                    horizon.atMilliseconds
                )
            }
            return record.entries.flatMap { entry in
                state.delivered.add(
                    .init(
                        place: .init(partition: entry.partition, contact: entry.contact),
                        change: entry.change,
                        atMilliseconds: entry.atMilliseconds
                    )
                )
            }
        }
        hasDelivered.store(true, ordering: .releasing)
        for entry in gone { forget(entry) }
    }

    /// Whether a reply that was found on disk, or has taken long to come, may be kept: what lacks a delivery that
    /// nobody remembers is not, nor an error for a contact that was updated since.
    ///
    /// Replies to contacts as they are usually asked for are taken from the disk one by one (``forget(_:)``). Which of
    /// an audience's pages, and of a contact's other spellings and queries, are there nobody knows: all of them go by
    /// the audience's horizon.
    package func admits(_ key: CacheKey, _ response: StoredResponse) -> Bool {
        guard hasDelivered.load(ordering: .acquiring) else { return true }
        let audience: UInt128
        switch RequestTarget.classify(key.target) {
        case .contactList(let list): audience = list
        case .contact(let contact):
            if response.status != 200, isUpdated(contact, key.partition, since: response.heldUpToMilliseconds) {
                return false
            }
            if contact.path == key.target { return true }
            audience = contact.audience
        default: return true
        }
        return state.withLock { state in
            !state.delivered.isBehindHorizon(
                .init(partition: key.partition, audience: audience),
                requested: response.heldUpToMilliseconds
            )
        }
    }

    private func isUpdated(_ contact: ContactReference, _ partition: CachePartition, since milliseconds: Int64) -> Bool
    {
        let changes = state.withLock {
            $0.delivered.changes(.init(partition: partition, contact: contact), since: milliseconds)
        }
        return changes.last.map { $0.effect != .delete } ?? false
    }

    // MARK: - Reading

    /// What a reply has to be laid under.
    enum Need {
        /// Nothing: it goes out as it is.
        case none
        /// It is rendered already.
        case rendered(StoredResponse)
        /// What is pending has to be looked up.
        case lookup
    }

    /// What the reply to a read needs before it goes out; on the hit path, so it waits for nothing.
    func need(_ read: ReadRequest, over base: StoredResponse, _ outbox: Outbox) -> Need {
        guard let key = read.key, read.subject != .other else { return .none }
        let mayBePending: Bool
        switch read.subject {
        case .contact(let contact): mayBePending = outbox.mayHavePending(contact, of: key)
        // Which contacts are on the page is known once it is read.
        case .contactList: mayBePending = key.pendingCount > 0
        case .other: mayBePending = false
        }
        guard mayBePending || hasDelivered.load(ordering: .acquiring) else { return .none }
        return state.withLock { state in
            let isBehind = Self.lacks(base, read, state.delivered)
            guard mayBePending || isBehind else { return .none }
            if !isBehind, case .contact(let contact) = read.subject, state.rendered.isUntouched(read.cacheKey, contact)
            {
                return .none
            }
            switch state.rendered.rendering(read.cacheKey, over: base) {
            case .base: return .none
            case .made(let response): return .rendered(response)
            case nil: return .lookup
            }
        }
    }

    private static func lacks(_ base: StoredResponse, _ read: ReadRequest, _ delivered: DeliveredChanges) -> Bool {
        let (partition, since) = (read.cacheKey.partition, base.heldUpToMilliseconds)
        return switch read.subject {
        case .contact(let contact): delivered.concerns(.init(partition: partition, contact: contact), since: since)
        case .contactList(let audience): delivered.concerns(partition, audience: audience, since: since)
        case .other: false
        }
    }

    /// Whether a read without a base may have something to show.
    func mayBePending(_ read: ReadRequest, _ outbox: Outbox) -> Bool {
        guard let key = read.key, case .contact(let contact) = read.subject else { return false }
        return outbox.mayHavePending(contact, of: key)
    }

    /// Lays what is pending, and what was delivered since, over a reply.
    ///
    /// - Parameter base: Nil where there is none to lay it over.
    func render(_ read: ReadRequest, over base: StoredResponse?, _ outbox: Outbox) async -> OverlayRendering {
        guard let key = read.key else { return .unchanged }
        let version = state.withLock { $0.rendered.version(read.subject) }
        let contacts = OverlayRendering.contacts(read.subject, in: base)
        let pending: PendingContactWrites
        do {
            pending = try await outbox.pendingWrites(to: contacts, of: key)
        } catch {
            return .unknown
        }
        // After the outbox, as a write that is not there any more has been put here before.
        let changes = state.withLock { state in
            Self.changes(pending.writes, contacts, state.delivered, read.cacheKey.partition, base?.heldUpToMilliseconds)
        }
        let rendering = OverlayRendering(
            read.subject,
            over: base,
            changes,
            semantics,
            clock,
            isComplete: pending.isComplete
        )
        if let base {
            state.withLock { state in
                switch rendering {
                case .unchanged where changes.isEmpty && read.isOfContact:
                    state.rendered.noteUntouched(read.cacheKey, version)
                case .unchanged: state.rendered.keep(.base, read.cacheKey, over: base, version)
                case .made(let made): state.rendered.keep(.made(made), read.cacheKey, over: base, version)
                case .noBase, .unknown: break
                }
            }
        }
        return rendering
    }

    private static func changes(
        _ pending: [PendingContactWrite],
        _ contacts: [ContactReference],
        _ delivered: DeliveredChanges,
        _ partition: CachePartition,
        _ baseMilliseconds: Int64?
    ) -> [UInt128: [PendingChange]] {
        var changes: [UInt128: [PendingChange]] = [:]
        for write in pending {
            let change: PendingChange?
            if write.method == .delete {
                change = PendingChange(sequence: write.sequence, effect: .delete)
            } else if let body = write.body {
                change = body.withUnsafeReadableBytes { PendingChange(sequence: write.sequence, putBody: $0) }
            } else {
                // It counts, and later ones set all that it sets.
                change = PendingChange(sequence: write.sequence, effect: .update([]))
            }
            if let change { changes[write.contact.contact, default: []].append(change) }
        }
        guard let baseMilliseconds else { return changes }
        for contact in contacts {
            for change in delivered.changes(.init(partition: partition, contact: contact), since: baseMilliseconds) {
                // One that is both counts as pending until that is durable.
                let isPending = changes[contact.contact]?.contains { $0.sequence == change.sequence } ?? false
                if !isPending { changes[contact.contact, default: []].append(change) }
            }
        }
        return changes
    }
}
