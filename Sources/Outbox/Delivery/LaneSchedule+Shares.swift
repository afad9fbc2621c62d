import DexatelAPI

extension LaneSchedule {
    /// What of a part of the window is taken, and by which keys.
    struct WindowShare: Sendable {
        var count = 0
        var byKey: [Int64: Int] = [:]
    }

    /// Writes of a part that there is still room for, beside those that a recall under way may bring.
    func room(for part: WindowPart) -> Int {
        let recalled = recalling?.limit ?? 0
        return min(
            limits.room(for: part) - shares[part.rawValue].count,
            limits.maxWindowWrites - windowCount - recalled
        )
    }

    func count(ofKey row: Int64) -> Int { WindowPart.allCases.reduce(0) { $0 + count(ofKey: row, in: $1) } }

    func count(ofKey row: Int64, in part: WindowPart) -> Int { shares[part.rawValue].byKey[row] ?? 0 }

    /// Writes of a key that there is still room for: it may have half as many as there is room for others.
    ///
    /// So a key has a third of a part at most, and however many keys are stuck, they leave room for the next one.
    func room(forKey row: Int64, in part: WindowPart) -> Int {
        let room = room(for: part)
        guard room > 0 else { return 0 }
        if pausedKeys[row] != nil { return max(0, limits.maxPausedWrites - count(ofKey: row)) }
        let count = count(ofKey: row, in: part)
        return count == 0 ? max(1, room / 2) : max(0, room / 2 - count)
    }

    /// Writes that a lane may have in all; it always may have one.
    func laneLimit(forKey row: Int64, in part: WindowPart) -> Int {
        max(1, min(limits.maxLaneWrites, room(forKey: row, in: part) / 3))
    }

    /// Writes that may be brought back to a lane, or read for it.
    ///
    /// One measure for both: what came back and had no room is read when there is some, and may have to go the same way
    /// once more.
    func roomInLane(_ contact: ContactReference) -> Int {
        guard let lane = lanes[contact], let row = lane.writes.first?.keyRow else { return limits.maxLaneWrites }
        return min(laneLimit(forKey: row, in: .backlog), laneLimit(forKey: row, in: .returned)) - lane.writes.count
    }

    /// Whether there is room for a write, at the end of its lane if it has one.
    func fits(_ write: Write, in part: WindowPart) -> Bool {
        guard room(forKey: write.keyRow, in: part) > 0 else { return false }
        guard let count = lanes[write.pending.contact]?.writes.count, count > 0 else { return true }
        return count < laneLimit(forKey: write.keyRow, in: part)
    }

    mutating func count(_ write: Write, _ change: Int) {
        windowCount += change
        shares[write.part.rawValue].count += change
        let count = count(ofKey: write.keyRow, in: write.part) + change
        shares[write.part.rawValue].byKey[write.keyRow] = count > 0 ? count : nil
    }

    /// A key's writes count as those of its successor.
    mutating func recount(key old: Int64, as row: Int64) {
        for index in shares.indices {
            guard let count = shares[index].byKey.removeValue(forKey: old) else { continue }
            shares[index].byKey[row, default: 0] += count
        }
    }

    // MARK: - What is outside

    /// Whether memory knows of every contact that has pending writes.
    var isComplete: Bool { cursor >= newest && behind.isEmpty }

    /// Whether a contact has, or may have, pending writes.
    func mayHavePending(_ contact: ContactReference) -> Bool { !isComplete || lanes[contact] != nil }

    /// Whether it has to be known which pending write comes before a new one of this contact.
    func needsPredecessor(_ contact: ContactReference) -> Bool {
        !isComplete && !isSuspended && !stoppedContacts.contains(contact) && !(lanes[contact]?.isCut ?? false)
    }

    /// Whether nothing older of a write's contact is outside memory, but for what is held.
    ///
    /// - Parameter isRead: Whether the predecessor was found by the read that is under way, and may be gone since.
    func isNext(_ write: Write, isRead: Bool = false) -> Bool {
        if isComplete, !(lanes[write.pending.contact]?.isCut ?? false) { return true }
        switch write.predecessor {
        case .unknown: return false
        case .first: return true
        case .write(let sequence):
            return departing[sequence] != nil && !strays.contains(sequence)
                || isRead && (gone.contains(sequence) || withdrawn.contains(sequence))
                || has(sequence, of: write.pending.contact)
        }
    }

    /// Whether all that is older of its contact, and not held, is in memory.
    func hasPlace(_ write: Write) -> Bool {
        guard let lane = lanes[write.pending.contact] else { return isNext(write) }
        if let last = lane.writes.last?.pending.sequence, write.pending.sequence < last { return true }
        return isNext(write)
    }

    /// Whether a write is in its lane.
    func has(_ sequence: Int64, of contact: ContactReference) -> Bool {
        guard let writes = lanes[contact]?.writes, let last = writes.last?.pending.sequence, last >= sequence else {
            return false
        }
        return last == sequence || writes.contains { $0.pending.sequence == sequence }
    }

    /// A write has stayed in the database, and a read that is under way may have been too early for it.
    mutating func missed(_ contact: ContactReference) {
        hasMissed = true
        if refilling != nil, lanes[contact]?.isCut ?? false { missedContacts.insert(contact) }
    }

    /// The rest of a contact's writes, if there are any, is to be read for its lane.
    mutating func cut(_ contact: ContactReference) {
        lanes[contact, default: Lane()].isCut = true
        cutLanes.insert(contact)
    }
}
