import DequeModule
import DexatelAPI
import HeapModule

extension LaneSchedule {
    /// A key that the upstream has refused with 401.
    struct HeldKey: Sendable, Equatable {
        /// When the next probe may be sent.
        var probeAt: RelayTime
        /// The write that probes, while it is in its lane.
        var probe: Int64?
        /// The database has no write that could probe: the next new one does.
        var hasNoProbe = false
        /// The alarm that counts; any other is left over.
        var alarmAt: RelayTime?
    }

    struct ProbeAlarm: Comparable, Sendable {
        var at: RelayTime
        var keyRow: Int64

        static func < (left: Self, right: Self) -> Bool { (left.at, left.keyRow) < (right.at, right.keyRow) }
    }

    /// Held writes to be brought back from the database.
    enum Recall: Hashable, Sendable {
        /// One write of a held key, to see whether the key works again.
        case probe(Int64)
        /// All writes that are held for, or by a 403 to, this key.
        case key(Int64)
        /// All writes of a contact that an operator had stopped.
        case contact(ContactReference)
        /// Those that were answered 403 and are to be tried again.
        case due
        /// Those that an operator has let go.
        case queued
    }

    /// What to bring back, and how much of it at most.
    struct RecallRequest: Sendable, Equatable {
        var recall: Recall
        var limit: Int
    }

    /// Writes that one recall brings at most.
    static let maxRecalled = 256

    // MARK: - Leaving

    /// Why a write may not be in its lane; nil when it may.
    ///
    /// A write of a held key may when it is the one to probe it: it was brought for that, or just came by while the
    /// database has none.
    ///
    /// - Parameter back: The recall that has just brought it back.
    func holdReason(_ write: Write, _ now: RelayTime, back: Recall? = nil) -> WriteHold? {
        let contact = write.pending.contact
        if stoppedContacts.contains(contact) || mustWait(.contact(contact), isBack: back == .contact(contact)) {
            return .contact
        }
        if let held = heldKeys[write.keyRow] {
            let mayProbe = held.hasNoProbe || back == .probe(write.keyRow)
            return mayProbe && held.probe == nil && held.probeAt <= now ? nil : .key
        }
        return mustWait(.key(write.keyRow), isBack: back != nil) ? .key : nil
    }

    /// While a kind comes back as a whole, others of it must not pass those that are still held; neither must those that
    /// came back, while an older one may be on its way out.
    private func mustWait(_ recall: Recall, isBack: Bool) -> Bool {
        returning.contains(recall) && (!isBack || departures[recall] != nil)
    }

    mutating func leave(_ write: Write, _ hold: WriteHold, isStray: Bool = false) {
        // What memory says of it may not be true, and will be read anew.
        guard !isSuspended else { return }
        if isStray { strays.insert(write.pending.sequence) }
        leaving.append(HoldRecord(write: write.pending, hold: hold))
        let recall: Recall =
            switch hold {
            case .key: .key(write.keyRow)
            case .contact: .contact(write.pending.contact)
            case .queued: .queued
            case .none, .write, .overtaken, .unexpected: .due
            }
        if refilling != nil { gone.insert(write.pending.sequence) }
        departing[write.pending.sequence] = recall
        departures[recall, default: 0] += 1
        guard hold == .key, heldKeys[write.keyRow]?.hasNoProbe ?? false else { return }
        heldKeys[write.keyRow]?.hasNoProbe = false
        awaitProbe(write.keyRow)
    }

    /// The writes that have left their lanes since the last time, to be recorded.
    mutating func takeLeaving() -> [HoldRecord] {
        defer { leaving = [] }
        return leaving
    }

    /// It is durable that these have left.
    mutating func holdsRecorded(_ holds: [HoldRecord]) {
        for hold in holds {
            if refilling != nil { gone.insert(hold.write.sequence) }
            strays.remove(hold.write.sequence)
            guard let recall = departing.removeValue(forKey: hold.write.sequence), let count = departures[recall] else {
                continue
            }
            departures[recall] = count > 1 ? count - 1 : nil
        }
    }

    /// The upstream has refused a key: its writes leave their lanes, so that other keys' writes to the same contacts
    /// go on; one is tried again every `writes.hold_probe`.
    mutating func hold(key row: Int64, now: RelayTime) -> [Answer] {
        let probeAt = now + limits.holdProbeMilliseconds
        heldKeys[row, default: HeldKey(probeAt: probeAt)].probeAt = probeAt
        heldKeys[row]?.hasNoProbe = false
        awaitProbe(row)
        cancel(.key(row))
        var answers: [Answer] = []
        for (contact, lane) in lanes where lane.writes.contains(where: { $0.keyRow == row }) {
            answers += empty(contact, now: now, of: { $0.keyRow == row }, as: .key)
        }
        return answers
    }

    /// Lets writes of a lane leave it; but what is under way, and what that covers, stays until its outcome is known.
    private mutating func empty(
        _ contact: ContactReference,
        now: RelayTime,
        of isMeant: (Write) -> Bool,
        as hold: WriteHold
    ) -> [Answer] {
        var answers: [Answer] = []
        guard let lane = lanes[contact] else { return [] }
        for index in lane.writes.indices.reversed() where isMeant(lane.writes[index]) && !isBusy(lane, index) {
            if let answer = takeWaiter(contact, index) { answers.append(answer) }
            if let write = remove(at: index, of: contact, now: now) { leave(write, hold) }
        }
        if !lane.isBusy, lanes[contact]?.writes.first?.pending.sequence != lane.writes.first?.pending.sequence {
            goOn(contact, now: now)
        }
        return answers
    }

    private func isBusy(_ lane: Lane, _ index: Int) -> Bool {
        lane.isBusy && (lane.writes[index].isCovered || lane.writes[index].pending.sequence == lane.current)
    }

    /// What a lane holds of held keys and stopped contacts leaves it, now that it is not busy any more.
    mutating func letHeldLeave(_ contact: ContactReference, _ now: RelayTime) {
        guard !isSuspended, let lane = lanes[contact] else { return }
        let isStopped = stoppedContacts.contains(contact)
        guard isStopped || !heldKeys.isEmpty else { return }
        for index in lane.writes.indices.reversed() {
            let write = lane.writes[index]
            guard isStopped || isHeldAndNoProbe(write), write.waiter == nil,
                let removed = remove(at: index, of: contact, now: now)
            else { continue }
            leave(removed, isStopped ? .contact : .key)
        }
    }

    private func isHeldAndNoProbe(_ write: Write) -> Bool {
        guard let held = heldKeys[write.keyRow] else { return false }
        return held.probe != write.pending.sequence
    }

    // MARK: - Keys

    /// A probe has left its lane, whatever became of it.
    mutating func probeEnded(_ row: Int64) {
        heldKeys[row]?.probe = nil
        awaitProbe(row)
    }

    /// Sees to it that the next probe of a held key is thought of when its time comes.
    mutating func awaitProbe(_ row: Int64) {
        guard let held = heldKeys[row], held.alarmAt == nil else { return }
        heldKeys[row]?.alarmAt = held.probeAt
        probeAlarms.insert(ProbeAlarm(at: held.probeAt, keyRow: row))
    }

    /// The upstream has taken something with a key: its held writes come back.
    mutating func release(key row: Int64) {
        guard heldKeys.removeValue(forKey: row) != nil else { return }
        bringBack(.key(row))
    }

    /// An operator has replaced a key: what is in memory goes on with the new one, and what was held comes back.
    mutating func replace(key old: Int64, by new: KnownKey, row: Int64, now: RelayTime) {
        heldKeys[old] = nil
        pausedKeys[old] = nil
        cancel(.key(old))
        recount(key: old, as: row)
        if let passed = behind.removeValue(forKey: old) {
            let also = behind[row] ?? passed
            behind[row] = Behind(after: min(passed.after, also.after), upTo: max(passed.upTo, also.upTo))
        }
        for contact in Array(lanes.keys) {
            for index in lanes[contact]?.writes.indices ?? 0..<0 where lanes[contact]?.writes[index].keyRow == old {
                lanes[contact]?.writes[index].keyRow = row
                lanes[contact]?.writes[index].key = new
            }
        }
        release(key: row)
        bringBack(.key(row))
    }

    // MARK: - Contacts

    /// An operator has stopped a contact: its writes leave the lane.
    mutating func stop(_ contact: ContactReference, now: RelayTime) -> [Answer] {
        stoppedContacts.insert(contact)
        cancel(.contact(contact))
        guard !isSuspended else {
            changedStops[contact] = true
            return []
        }
        return empty(contact, now: now, of: { _ in true }, as: .contact)
    }

    /// An operator has let a contact go again.
    mutating func restart(_ contact: ContactReference) {
        if isSuspended { changedStops[contact] = false }
        guard stoppedContacts.remove(contact) != nil else { return }
        bringBack(.contact(contact))
    }

    // MARK: - Coming back

    /// Has all of a kind brought back, and new writes of it go the same way meanwhile.
    mutating func bringBack(_ recall: Recall) {
        returning.insert(recall)
        if !recalls.contains(recall) { recalls.append(recall) }
    }

    private mutating func cancel(_ recall: Recall) {
        if recalling?.recall == recall { isRecallStale = true }
        returning.remove(recall)
        recalls.removeAll { $0 == recall }
    }

    /// There are writes that an operator has let go.
    mutating func queuedWritesAdded() {
        if !recalls.contains(.queued) { recalls.append(.queued) }
    }

    /// Whether there may be something to bring back.
    func hasRecall(now: RelayTime) -> Bool {
        guard !isSuspended, recalling == nil else { return false }
        return !recalls.isEmpty || heldWritesDueAt.map { $0 <= now } ?? false
            || probeAlarms.min.map { $0.at <= now } ?? false
    }

    /// What to bring back from the database next; one at a time, and `recalled` ends it.
    mutating func nextRecall(now: RelayTime) -> RecallRequest? {
        guard !isSuspended, recalling == nil else { return nil }
        guard windowCount < limits.maxWindowWrites, let recall = nextRecallKind(now) else { return nil }
        recalling = RecallRequest(recall: recall, limit: room(for: recall))
        isRecallStale = false
        return recalling
    }

    /// Writes that a recall may bring: never all that there is room for, but for the last.
    private func room(for recall: Recall) -> Int {
        let left = room(for: .returned)
        let part = left > 0 ? min(max(1, left / 2), Self.maxRecalled) : 0
        return switch recall {
        // A key that is held must not be so longer because others are.
        case .probe: 1
        case .key(let row): min(room(forKey: row, in: .returned), part)
        case .contact(let contact): min(roomInLane(contact), part)
        case .due: min(limits.maxForbiddenRetries - forbiddenRetries.count, part)
        case .queued: part
        }
    }

    /// One that was answered 403 has been taken: others may be, too, and need not wait for the next `hold_probe`.
    mutating func allowForbiddenRetries(_ now: RelayTime) {
        forbiddenRetries.count = 0
        if let due = heldWritesDueAt, due == forbiddenRetries.until { heldWritesDueAt = now }
    }

    private mutating func nextRecallKind(_ now: RelayTime) -> Recall? {
        while let alarm = probeAlarms.min, alarm.at <= now {
            probeAlarms.removeMin()
            guard let held = heldKeys[alarm.keyRow], held.alarmAt == alarm.at else { continue }
            heldKeys[alarm.keyRow]?.alarmAt = nil
            guard held.probe == nil, !held.hasNoProbe else { continue }
            if held.probeAt <= now { return .probe(alarm.keyRow) }
            awaitProbe(alarm.keyRow)
        }
        guard room(for: .returned) > 0 else { return nil }
        if let due = heldWritesDueAt, due <= now {
            heldWritesDueAt = nil
            if now >= forbiddenRetries.until { forbiddenRetries = (0, now + limits.holdProbeMilliseconds) }
            if forbiddenRetries.count < limits.maxForbiddenRetries { return .due }
            heldWritesDueAt = forbiddenRetries.until
        }
        return recalls.first { room(for: $0) > 0 }
    }

    /// What a recall has brought; it is pending, and no longer held, in the database.
    struct Recalled: Sendable {
        var request: RecallRequest
        var writes: [Write]
        /// Whether nothing more of the kind is held.
        var isExhausted: Bool
        /// When the next write that was answered 403 is due.
        var nextDue: RelayTime?
    }

    /// What a recall has brought cannot be used.
    mutating func recallFailed() { recalling = nil }

    mutating func recalled(_ recalled: Recalled, now: RelayTime) {
        guard recalling != nil else { return }
        recalling = nil
        guard !isSuspended else { return }
        switch recalled.request.recall {
        case .probe(let row):
            var isPlaced = false
            for write in recalled.writes where returned(write, by: .probe(row), now) { isPlaced = true }
            guard !isPlaced, heldKeys[row] != nil else { return }
            if recalled.writes.isEmpty, recalled.isExhausted, departures[.key(row)] == nil {
                heldKeys[row]?.hasNoProbe = true
            } else if heldKeys[row]?.hasNoProbe == false {
                // It could not be placed, or those that came first could not be sent: the next one may.
                if !recalled.writes.isEmpty { heldKeys[row]?.probeAt = now + limits.holdProbeMilliseconds }
                awaitProbe(row)
            }
        case .due:
            for write in recalled.writes { returned(write, by: .due, now) }
            forbiddenRetries.count += recalled.writes.count
            let next = recalled.isExhausted ? recalled.nextDue : now
            heldWritesDueAt = [next, heldWritesDueAt].compactMap { $0 }.min()
        case .key, .contact, .queued:
            let recall = recalled.request.recall
            for write in recalled.writes { returned(write, by: recall, now) }
            guard !isRecallStale, let index = recalls.firstIndex(of: recall) else { return }
            recalls.remove(at: index)
            if recalled.isExhausted, departures[recall] == nil {
                returning.remove(recall)
            } else {
                recalls.append(recall)
            }
        }
    }

    /// Whether all of a stopped contact's writes are back.
    func isBack(_ contact: ContactReference) -> Bool {
        !stoppedContacts.contains(contact) && !returning.contains(.contact(contact))
    }

    /// Puts a write that came back in its lane.
    ///
    /// It stays in the database if it may not stand there yet: something older of its contact is outside memory, and
    /// brings it along.
    @discardableResult
    private mutating func returned(_ write: Write, by recall: Recall, _ now: RelayTime) -> Bool {
        let (sequence, contact) = (write.pending.sequence, write.pending.contact)
        // A read has found it before this was known.
        guard !has(sequence, of: contact), departing[sequence] == nil else { return false }
        if holdReason(write, now, back: recall) == nil {
            let isLast = lanes[contact]?.writes.last.map { $0.pending.sequence < sequence } ?? true
            let isFull = isLast && roomInLane(contact) <= 0
            guard !isFull, hasPlace(write) else {
                if isFull || write.predecessor == .unknown { cut(contact) }
                if refilling != nil {
                    hasMissed = true
                    missedContacts.insert(contact)
                }
                return false
            }
        }
        return place(write, as: .returned, now: now, back: recall)
    }

    // MARK: - Withdrawing

    /// Takes a write that an operator ends out of the window; false when it is under way, or just being held.
    ///
    /// Until `withdrawalsDone`, no read of the database brings it back.
    mutating func withdraw(_ sequence: Int64, of contact: ContactReference, now: RelayTime) -> (Bool, Answer?) {
        isWithdrawing = true
        guard departing[sequence] == nil else { return (false, nil) }
        guard let lane = lanes[contact], let index = lane.writes.firstIndex(where: { $0.pending.sequence == sequence })
        else {
            withdrawn.insert(sequence)
            // It may be the first of its contact, which nothing else would bring then.
            if !behind.isEmpty { cut(contact) }
            return (true, nil)
        }
        guard !isBusy(lane, index) else { return (false, nil) }
        let answer = takeWaiter(contact, index)
        remove(at: index, of: contact, now: now)
        withdrawn.insert(sequence)
        if index == 0, !lane.isBusy { goOn(contact, now: now) }
        return (true, answer)
    }

    /// What was withdrawn has ended, and no later read can bring it.
    mutating func withdrawalsDone() {
        isWithdrawing = false
        if refilling == nil { withdrawn = [] }
    }
}
