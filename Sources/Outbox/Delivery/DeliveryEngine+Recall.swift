import DexatelAPI
import Logging
import Synchronization

/// Held writes come back, and leave, by the hand of the commit thread.
extension DeliveryEngine {
    /// Has held writes brought back whose time has come.
    func recall(_ now: RelayTime) {
        let request = state.withLock { $0.isStopping ? nil : $0.schedule.nextRecall(now: now) }
        guard let request else { return }
        parts.commits.perform(
            RecallWrites(request: request, semantics: parts.limits.putSemantics) { [weak self] in
                self?.recalled(request, $0, isExhausted: $1, nextDue: $2)
            }
        )
    }

    private func recalled(
        _ request: LaneSchedule.RecallRequest,
        _ writes: [(write: PendingWrite, predecessor: LaneSchedule.Predecessor)],
        isExhausted: Bool,
        nextDue: RelayTime?
    ) {
        let now = parts.clock.now()
        do {
            let writes = try writes.map { pending, predecessor in
                var write = try scheduled(pending)
                write.predecessor = predecessor
                return write
            }
            changeSchedule { schedule in
                schedule.recalled(
                    .init(request: request, writes: writes, isExhausted: isExhausted, nextDue: nextDue),
                    now: now
                )
                switch request.recall {
                case .probe(let row):
                    if let held = schedule.heldKeys[row] { parts.keys.setHasNoProbe(row, held.hasNoProbe) }
                case .contact(let contact):
                    if schedule.isBack(contact) { parts.commits.perform(ForgetStop(contact: contact)) }
                case .key, .due, .queued: break
                }
                return []
            }
        } catch {
            parts.logger.error("held writes cannot be brought back", metadata: ["error": "\(error)"])
            state.withLock { $0.schedule.recallFailed() }
            parts.commits.reportDamage(error)
        }
        wake()
    }

    // MARK: - Operators

    /// An operator has stopped a contact.
    func stop(_ contact: ContactReference) {
        let now = parts.clock.now()
        changeSchedule { $0.stop(contact, now: now) }
    }

    /// An operator has let a contact go again.
    func restart(_ contact: ContactReference) {
        state.withLock { $0.schedule.restart(contact) }
        wake()
    }

    /// An operator has let writes go that wait in the database.
    func queuedWritesAdded() {
        state.withLock { $0.schedule.queuedWritesAdded() }
        wake()
    }

    /// An operator has replaced a key.
    func replaced(key old: Int64, by new: KnownKey, row: Int64) {
        let now = parts.clock.now()
        changeSchedule { schedule in
            schedule.replace(key: old, by: new, row: row, now: now)
            return []
        }
        wake()
    }

    /// Takes a write out of the window that an operator is ending; false when it is under way.
    func withdraw(_ write: PendingWrite) -> Bool {
        let now = parts.clock.now()
        let (isWithdrawn, answer) = state.withLock { state in
            let result = state.schedule.withdraw(write.sequence, of: write.contact, now: now)
            recordLeaving(&state)
            return result
        }
        if let answer { send([answer]) }
        return isWithdrawn
    }

    /// What was withdrawn has ended.
    func withdrawalsDone() {
        state.withLock { $0.schedule.withdrawalsDone() }
        wake()
    }

    /// Writes are in the database that nobody in memory knows: they are read when there is room.
    func writesAppended(newest: Int64) {
        state.withLock { $0.schedule.appended(newest: newest) }
        wake()
    }
}
