import DequeModule
import DexatelAPI
import NIOCore

/// Pending writes are read from the database as there is room: the backlog in order, the rest of lanes that are cut, and
/// what was passed over of keys that had no room.
extension LaneSchedule {
    /// The writes of a key that were passed over: some between these two.
    struct Behind: Sendable, Equatable {
        /// Up to here they have been looked at again.
        var after: Int64
        /// The last that was passed over.
        var upTo: Int64
    }

    /// Rows to read; of those that are not held, and in order.
    struct RefillRequest: Sendable, Equatable {
        enum Source: Sendable, Equatable {
            /// All behind this sequence.
            case backlog(after: Int64)
            /// Those of a key between these.
            case key(Int64, after: Int64, upTo: Int64)
            /// Those of some contacts, of each behind a sequence.
            case lanes([ContactPlace])
        }
        struct ContactPlace: Sendable, Equatable {
            var contact: ContactReference
            var after: Int64
            var limit: Int
        }

        var source: Source
        /// Read so many at most.
        var limit: Int
        /// Bytes of payloads that are read with them at most.
        var maxPayloadBytes: Int
        /// The newest sequence that was known when the request was made; nothing behind it is taken.
        var newest: Int64
        /// Whether predecessors and successors are to be found, too.
        var needsOrder: Bool
    }

    /// What was read.
    struct Refilled: Sendable {
        var writes: [Write]
        /// Up to where there is nothing else to read; nil for the end.
        var upTo: Int64?
        /// For lanes: those of which everything was read.
        var exhausted: Set<ContactReference> = []
    }

    /// Lanes that one request reads at most.
    static let maxLanesRead = 32
    /// Rows that one request reads at least, if there are as many.
    private static let minRowsRead = 64

    /// What to read from the database; nil while there is no need or no room.
    var refillRequest: RefillRequest? {
        guard !isSuspended, refilling == nil else { return nil }
        let room = room(for: .backlog)
        guard room > 0 else { return nil }
        let sources = [lanesToRead, keyToRead, backlogToRead]
        // They take turns.
        guard let source = (0..<sources.count).lazy.compactMap({ sources[($0 + reads) % sources.count] }).first else {
            return nil
        }
        return RefillRequest(
            source: source,
            limit: max(Self.minRowsRead, room / 2),
            maxPayloadBytes: max(0, limits.maxWindowPayloadBytes - payloadBytes),
            newest: newest,
            needsOrder: !behind.isEmpty
        )
    }

    private var backlogToRead: RefillRequest.Source? {
        cursor < newest && readyBacklogCount < limits.minReadyBacklog ? .backlog(after: cursor) : nil
    }

    private var keyToRead: RefillRequest.Source? {
        let room = room(for: .backlog)
        // Not for each write that it gets room for.
        let key = behind.first { pausedKeys[$0.key] == nil && count(ofKey: $0.key, in: .backlog) * 4 <= room }
        return key.map { .key($0.key, after: $0.value.after, upTo: $0.value.upTo) }
    }

    private var lanesToRead: RefillRequest.Source? {
        var places: [RefillRequest.ContactPlace] = []
        for contact in cutLanes where places.count < Self.maxLanesRead {
            guard let lane = lanes[contact] else { continue }
            let room = roomInLane(contact)
            guard lane.writes.count <= room else { continue }
            places.append(.init(contact: contact, after: lane.writes.last?.pending.sequence ?? 0, limit: room))
        }
        return places.isEmpty ? nil : .lanes(places)
    }

    /// The same, and what was begun is ended by `refill` or `refillFailed`.
    mutating func beginRefill() -> RefillRequest? {
        guard let request = refillRequest else { return nil }
        refilling = request
        reads += 1
        (gone, setAside, hasMissed, missedContacts) = ([], [], false, [])
        return request
    }

    mutating func refillFailed() { endRefill() }

    private mutating func endRefill() {
        refilling = nil
        (gone, setAside, missedContacts) = ([], [], [])
        if !isWithdrawing { withdrawn = [] }
    }

    /// Takes what was read for a request.
    mutating func refill(_ refilled: Refilled, for request: RefillRequest, now: RelayTime) {
        guard refilling == request else { return }
        defer { endRefill() }
        guard !isSuspended else { return }
        switch request.source {
        case .backlog(let after):
            guard after == cursor, request.needsOrder || setAside.isEmpty else { break }
            cursor = passAlong(refilled, from: after, to: request.newest, isBacklog: true, now)
        case .key(let row, let after, let upTo):
            guard let found = behind[row], found.after == after else { break }
            let reached = passAlong(refilled, from: after, to: upTo, isBacklog: false, now)
            behind[row] = reached < found.upTo ? Behind(after: reached, upTo: found.upTo) : nil
        case .lanes(let places):
            for write in refilled.writes where write.pending.sequence <= request.newest { append(write, now) }
            for place in places where refilled.exhausted.contains(place.contact) { mend(place.contact) }
        }
        // It may have been too early for them; their lanes find out.
        for contact in missedContacts { cut(contact) }
    }

    // MARK: - Along the backlog

    /// Takes the first writes of contacts that are not in memory, and those that follow in their lanes.
    ///
    /// - Parameter isBacklog: Whether all rows are read for the first time; else those of a key, once more.
    /// - Returns: Up to where everything was looked at.
    private mutating func passAlong(
        _ refilled: Refilled,
        from after: Int64,
        to end: Int64,
        isBacklog: Bool,
        _ now: RelayTime
    ) -> Int64 {
        var reached = after
        var passedOver: Set<ContactReference> = []
        for write in refilled.writes {
            let (sequence, contact) = (write.pending.sequence, write.pending.contact)
            guard sequence <= end else { return end }
            if isKnown(write) || missedContacts.contains(contact) {
                // It is taken care of.
            } else if lanes[contact] != nil {
                follow(write, isBacklog: isBacklog, now)
            } else if case .write(let before) = write.predecessor, strays.contains(before) {
                // What is before that one is not known.
                cut(contact)
            } else if passedOver.contains(contact) || !isNext(write, isRead: true) && write.predecessor != .unknown {
                // It comes with its lane, when there is room for the first of the contact.
                passedOver.insert(contact)
            } else if leavesAtOnce(write, now) || room(forKey: write.keyRow, in: .backlog) > 0 {
                take(write, now)
                if !isBacklog, write.hasSuccessor || hasMissed { cut(contact) }
            } else if !isBacklog || readyBacklogCount >= limits.minReadyBacklog || room(for: .backlog) <= 0 {
                return reached
            } else {
                // Others are not to wait for this key.
                passedOver.insert(contact)
                stayBehind(sequence, of: write.keyRow)
            }
            reached = sequence
        }
        // At the end nothing that was known at the time of the request is left.
        return max(reached, min(refilled.upTo ?? end, end))
    }

    /// A write whose contact has a lane belongs at its end, if all between is there.
    private mutating func follow(_ write: Write, isBacklog: Bool, _ now: RelayTime) {
        let contact = write.pending.contact
        guard !(lanes[contact]?.isCut ?? false) else { return }
        let isNext = isNext(write, isRead: true) || write.predecessor == .unknown
        guard isBacklog, isNext, leavesAtOnce(write, now) || fits(write, in: .backlog) else { return cut(contact) }
        take(write, now)
    }

    /// Whether a write that was read is in memory, or was since the read began.
    private func isKnown(_ write: Write) -> Bool {
        let sequence = write.pending.sequence
        return gone.contains(sequence) || setAside.contains(sequence) || departing[sequence] != nil
            || withdrawn.contains(sequence)
            || has(sequence, of: write.pending.contact)
    }

    private func leavesAtOnce(_ write: Write, _ now: RelayTime) -> Bool {
        write.pending.replay == .underRule || holdReason(write, now) != nil
    }

    private mutating func take(_ write: Write, _ now: RelayTime) {
        guard write.pending.replay == .underRule else {
            place(write, as: .backlog, now: now)
            return
        }
        // It was let go before, and a later write may have been delivered since: it is judged again.
        leave(write, .queued)
        queuedWritesAdded()
    }

    // MARK: - Paused keys

    /// Forgets a lane whose first write may not be sent as its key is paused, until it is read again after that.
    ///
    /// So keys that are paused take hardly any room.
    ///
    /// - Returns: False when the key has no more than may stay, or the lane has what memory alone knows.
    mutating func setAside(_ contact: ContactReference) -> Bool {
        guard let lane = lanes[contact], let first = lane.writes.first, !lane.isBusy,
            count(ofKey: first.keyRow) > limits.maxPausedWrites,
            !lane.writes.contains(where: { $0.waiter != nil || heldKeys[$0.keyRow] != nil })
        else { return false }
        for write in lane.writes {
            count(write, -1)
            payloadBytes -= write.payload?.body.readableBytes ?? 0
            if refilling != nil { setAside.insert(write.pending.sequence) }
        }
        setPhase(.empty, of: contact)
        lanes[contact] = nil
        cutLanes.remove(contact)
        stayBehind(first.pending.sequence, of: first.keyRow)
        return true
    }

    /// The key's writes will be looked at again from this one on at the latest.
    private mutating func stayBehind(_ sequence: Int64, of row: Int64) {
        let known = behind[row] ?? Behind(after: sequence - 1, upTo: sequence)
        behind[row] = Behind(after: min(known.after, sequence - 1), upTo: max(known.upTo, sequence))
    }

    // MARK: - The rest of a lane

    private mutating func append(_ write: Write, _ now: RelayTime) {
        let contact = write.pending.contact
        guard let lane = lanes[contact], lane.isCut, !isKnown(write), !missedContacts.contains(contact) else { return }
        guard leavesAtOnce(write, now) || room(for: .backlog) > 0 && roomInLane(contact) > 0 else {
            missedContacts.insert(contact)
            return
        }
        take(write, now)
    }

    /// All of a contact is in its lane, unless something was missed.
    private mutating func mend(_ contact: ContactReference) {
        guard !missedContacts.contains(contact), let lane = lanes[contact] else { return }
        lanes[contact]?.isCut = false
        cutLanes.remove(contact)
        if lane.writes.isEmpty { lanes[contact] = nil }
    }
}
