import DexatelAPI
import Synchronization

/// What the commit thread asks, and says.
extension DeliveryEngine {
    /// How much may be claimed ahead.
    struct Room: Sendable {
        var claims: Int
        var bytes: Int
        var opening: Int
        /// Lanes that have a claim already.
        var busy: Set<ContactReference>
    }

    /// Room for further claims; nil while there are enough, or nothing is to be sent.
    ///
    /// - Parameter isUrgent: Whether to fill it up though there are enough for a while.
    func room(isUrgent: Bool = false) -> Room? {
        state.withLock { state in
            let limits = state.limits
            guard !state.isStopping, !state.isSuspended, !state.isHeld, state.pause == .none else { return nil }
            guard
                isUrgent
                    ? state.flights.claimedCount < limits.maxClaimed : state.flights.claimedCount < limits.minClaimed,
                state.flights.claimedBytes < limits.maxClaimedBytes
            else { return nil }
            return Room(
                claims: limits.maxClaimed - state.flights.claimedCount,
                bytes: limits.maxClaimedBytes - state.flights.claimedBytes,
                opening: state.opening,
                busy: Set(state.flights.contacts)
            )
        }
    }

    /// What must hold after each event; looked at in debug builds alone.
    func assertInvariants() { state.withLock { $0.flights.assertInvariants() } }

    /// Which opening of the database outcomes have to come from.
    var opening: Int { state.withLock { $0.opening } }

    /// Whether a lane has a claim.
    func isClaimed(_ contact: ContactReference) -> Bool { state.withLock { $0.flights.contains(contact) } }

    /// Whether a sender waits for a write.
    func isWaitedFor(_ sequence: Int64) -> Bool { state.withLock { $0.waiters.contains(sequence) } }

    /// Whether a write is covered by one that is under way.
    func isCovered(_ write: PendingWrite) -> Bool {
        state.withLock { $0.flights.isBusy(write.sequence, of: write.contact) }
    }

    /// Senders that wait for writes with a key.
    func waitingCount(ofKey keyRow: Int64) -> Int { state.withLock { $0.waiters.count(ofKey: keyRow) } }

    /// Takes claims.
    func add(_ claims: [Claim]) {
        guard !claims.isEmpty else { return }
        state.withLock { state in
            for claim in claims where claim.opening == state.opening { state.flights.add(claim) }
        }
        sendReady()
    }

    /// Takes writes that have just been committed.
    ///
    /// - Returns: The answers for senders that do not wait, and which of the claims there was no room for.
    func accept(_ accepted: [AcceptedWrite], isUpstreamHealthy: Bool) -> (answers: [SenderAnswer], left: [Claim]) {
        state.withLock { state in
            var (answers, left): ([SenderAnswer], [Claim]) = ([], [])
            let now = parts.clock.now()
            for write in accepted {
                let waiter = write.waiter
                if write.mayWait, isUpstreamHealthy, waiter.deadline > now, !state.isStopping, !state.isHeld,
                    state.pause == .none, !state.isSuspended, state.waiters.count < state.limits.maxWaiting
                {
                    state.waiters.add(waiter)
                } else {
                    answers.append(waiter.accepted)
                }
                guard var claim = write.claim else { continue }
                guard left.isEmpty, state.flights.claimedCount < state.limits.maxClaimed,
                    state.flights.claimedBytes < state.limits.maxClaimedBytes, !state.isStopping, !state.isSuspended
                else {
                    left.append(claim)
                    continue
                }
                claim.opening = state.opening
                state.flights.add(claim)
            }
            return (answers, left)
        }
    }

    /// Outcomes are durable, or will never be: their lanes are free.
    func recorded(_ contacts: [ContactReference]) {
        guard !contacts.isEmpty else { return }
        state.withLock { state in
            for contact in contacts { state.flights.recorded(contact) }
        }
        wakeIfFinished()
    }

    /// Takes claims back whose attempts have not begun.
    @discardableResult
    func withdraw(where isMeant: (Claim) -> Bool) -> [Claim] { state.withLock { $0.flights.withdraw(where: isMeant) } }

    /// Takes back what is claimed of a write's lane; false when the write is under way, or its outcome is being recorded.
    func withdraw(_ write: PendingWrite) -> Bool {
        state.withLock { state in
            guard !state.flights.isBusy(write.sequence, of: write.contact) else { return false }
            _ = state.flights.withdraw { $0.contact == write.contact }
            return true
        }
    }

    /// Answers senders that need not wait any longer: 202.
    ///
    /// Those whose writes are under way may still hear the reply.
    func releaseWaiters(where isMeant: (Waiter) -> Bool) {
        let waiters = state.withLock { state in
            guard state.waiters.count > 0 else { return [Waiter]() }
            let flights = state.flights
            return state.waiters.take { !flights.isUnderWay($0.id.sequence) && isMeant($0) }
        }
        send(waiters.map(\.accepted))
    }

    /// Answers the senders of these writes 202, as others are told so of the same writes.
    ///
    /// - Returns: Those whose outcomes are on their way to the commit thread, with the senders.
    func acknowledge(_ sequences: Set<Int64>) -> Set<Int64> {
        let (waiters, recording) = state.withLock { state in
            (state.waiters.take { sequences.contains($0.id.sequence) }, state.flights.recording(among: sequences))
        }
        send(waiters.map(\.accepted))
        return recording
    }

    /// Nothing is to be sent, as its outcome could not be recorded; or all may go on.
    func holdDeliveries(_ areHeld: Bool) {
        // Whoever waits for the upstream would wait for the disk.
        let waiters = state.withLock { state in
            state.isHeld = areHeld
            return areHeld ? state.waiters.take { _ in true } : []
        }
        send(waiters.map(\.accepted))
        wake()
    }

    /// Who has paused deliveries.
    var pause: DeliveryPause { state.withLock { $0.pause } }

    /// An operator or the brake pauses deliveries, or they go on.
    func setPaused(_ pause: DeliveryPause) {
        state.withLock { $0.pause = pause }
        if pause != .none { releaseWaiters { _ in true } }
        parts.commits.wake()
        wake()
    }

    /// Ends all waits for a time, on an operator's flush.
    func flush() { state.withLock { ($0.gateOpensAt, $0.pausedUntil) = (nil, nil) } }

    /// Until when the upstream wants to be left alone, in milliseconds from now; nil when it does not.
    var upstreamPauseMilliseconds: Int64? {
        let now = parts.clock.now()
        return state.withLock { $0.pausedUntil }.flatMap { $0 > now ? $0 - now : nil }
    }

    /// A commit has failed: nothing is sent until `reopened`.
    func storageFailed() {
        let waiters = state.withLock { state in
            state.isSuspended = true
            state.opening += 1
            state.flights.suspend()
            return state.waiters.take { _ in true }
        }
        send(waiters.map(\.accepted))
        wake()
    }

    /// The database has been opened again, and verified.
    func reopened(_ outbox: OpenedOutbox) {
        state.withLock { state in
            state.reader = outbox.reader
            state.isSuspended = false
        }
        wake()
    }
}

/// A write that has just been committed, and how it goes on.
struct AcceptedWrite: Sendable {
    var waiter: Waiter
    /// Whether its lane is not held up, so that its sender may wait for the upstream's reply.
    var mayWait: Bool
    /// It goes the straight way: its lane was empty, and nothing else is ready.
    var claim: Claim?
}
