import DexatelAPI
import Logging
import Synchronization

/// Writes are claimed and handed to the transport on whichever thread finds them ready; their outcomes come back on event
/// loops.
extension DeliveryEngine: DeliveryReceiver {
    /// An attempt that is under way.
    struct Attempt: Sendable {
        var write: LaneSchedule.Write
        let permit: DeliveryPermit
        /// For the watchdog.
        let began: ContinuousClock.Instant
        /// For the receipt.
        let startedAt: RelayTime
        let startedAtWallMilliseconds: Int64

        /// What is handed to the transport, once the payload is there.
        var delivery: Delivery? {
            write.payload.map { payload in
                Delivery(
                    sequence: write.pending.sequence,
                    permit: permit,
                    contact: write.pending.contact,
                    method: write.pending.method,
                    payload: payload,
                    apiKey: write.key.secret,
                    key: write.key.fingerprint
                )
            }
        }
    }

    /// How long after the breaker was found busy with somebody else's attempt it is asked again.
    private static let saturatedMilliseconds: Int64 = 100

    // MARK: - Claiming

    /// Claims what may be sent and hands it to the transport; called on any thread, under no lock.
    func sendReady() {
        guard beginClaiming() else { return }
        repeat {
            var deliveries: [Delivery] = []
            while let attempt = claim() {
                if let delivery = attempt.delivery {
                    deliveries.append(delivery)
                } else {
                    state.withLock { $0.unread.append(attempt.write.pending.sequence) }
                }
            }
            if !deliveries.isEmpty { parts.transport.begin(deliveries, for: self) }
        } while mayClaimMore()
    }

    /// One thread claims at a time, so that what is ready stays ready while the breaker is asked.
    private func beginClaiming() -> Bool {
        state.withLock { state in
            guard !state.isClaiming else {
                state.claimsAgain = true
                return false
            }
            state.isClaiming = true
            return true
        }
    }

    private func mayClaimMore() -> Bool {
        state.withLock { state in
            state.isClaiming = state.claimsAgain
            state.claimsAgain = false
            return state.isClaiming
        }
    }

    /// The next write to send, with leave to send it.
    private func claim() -> Attempt? {
        while true {
            let now = parts.clock.now()
            let ready = state.withLock { state in
                state.isStopping || state.isHeld ? nil : state.schedule.nextReady(now: now)
            }
            guard let contact = ready else { return nil }
            let permit: DeliveryPermit
            switch parts.transport.admit(contact) {
            case .go(let granted): permit = granted
            case .saturated:
                // The attempt that is under way may be somebody else's, whose end nobody tells.
                state.withLock { if $0.schedule.inFlight.isEmpty { $0.gateOpensAt = now + Self.saturatedMilliseconds } }
                return nil
            case .wait(let milliseconds):
                state.withLock { $0.gateOpensAt = now + max(milliseconds, 1) }
                return nil
            }
            let attempt = state.withLock { state -> Attempt? in
                switch state.schedule.claim(contact, now: now) {
                case .attempt(let write):
                    let attempt = Attempt(
                        write: write,
                        permit: permit,
                        began: .now,
                        startedAt: now,
                        startedAtWallMilliseconds: RelayClock.wallMilliseconds()
                    )
                    state.attempts[write.pending.sequence] = attempt
                    return attempt
                case .expired(let end):
                    record([.end(end)], &state)
                    return nil
                // Something has changed since.
                case nil: return nil
                }
            }
            if let attempt { return attempt }
            parts.transport.release(permit)
        }
    }

    /// Reads the payloads of what was claimed without them, all at once, and hands it to the transport.
    func sendUnread() async {
        let (unread, reader) = state.withLock { state in
            defer { state.unread = [] }
            return (state.unread, state.reader)
        }
        guard !unread.isEmpty else { return }
        var payloads: [Int64: WritePayload] = [:]
        var failure: (any Error)?
        do {
            payloads = try await reader.payloads(of: unread)
        } catch {
            failure = error
        }
        let attempts = state.withLock { state in
            unread.compactMap { sequence in
                state.attempts[sequence]?.write.payload = payloads[sequence]
                return state.attempts[sequence]
            }
        }
        var ends: [DeliveryEnd] = []
        for attempt in attempts where attempt.write.payload == nil {
            parts.transport.release(attempt.permit)
            let error =
                failure ?? OutboxError(.damaged, "the pending write \(attempt.write.pending.id) has no payload")
            parts.commits.reportDamage(error)
            let message = "the outbox cannot be read: \(error)"
            ends.append(
                DeliveryEnd(
                    sequence: attempt.write.pending.sequence,
                    outcome: .failure(DeliveryFailure(message: message, isAmbiguous: false))
                )
            )
        }
        let deliveries = attempts.compactMap(\.delivery)
        if !deliveries.isEmpty { parts.transport.begin(deliveries, for: self) }
        if !ends.isEmpty { ended(ends) }
    }

    // MARK: - Outcomes

    package func ended(_ deliveries: [DeliveryEnd]) {
        let attempts = state.withLock { state in deliveries.map { state.attempts[$0.sequence] } }
        let observer = changeObserver
        // Before the end of a write is durable: in between, a read would find neither it nor what it has made.
        for (delivery, attempt) in zip(deliveries, attempts) {
            if let attempt, let observer { tell(observer, attempt.write, delivery.outcome) }
        }
        let now = parts.clock.now()
        var ended: [(record: LaneSchedule.Ended.Record, write: LaneSchedule.Write)] = []
        var answers: [LaneSchedule.Answer] = []
        let (isSuspended, notice) = state.withLock { state in
            for (delivery, attempt) in zip(deliveries, attempts) {
                guard let attempt else { continue }
                state.attempts[delivery.sequence] = nil
                let end = state.schedule.attemptEnded(
                    attempt.write.pending.contact,
                    delivery.outcome,
                    .init(
                        startedAtWallMilliseconds: attempt.startedAtWallMilliseconds,
                        durationMilliseconds: now - attempt.startedAt
                    ),
                    now: now,
                    backoffMilliseconds: parts.backoffMilliseconds
                )
                guard let end else { continue }
                ended.append((end.record, attempt.write))
                answers += end.answers
            }
            record(ended.map(\.record), &state)
            return (state.schedule.isSuspended, state.schedule.foreignReplies.takeNotice())
        }
        if let notice { log(notice) }
        for case (.attempt(let attempt), let write) in ended { log(attempt, write) }
        send(answers)
        // Suspended: what became of the writes is found out from the database, once that is back.
        if isSuspended { return wakeAfterAttempt() }
        // Others take the places when the commit has shown that there is room on disk for what becomes of them.
        if ended.isEmpty { sendReady() }
        wakeIfNeeded()
    }

    /// Tells reads what the upstream has taken; one reply too many does no harm, as it is what the upstream says.
    private func tell(
        _ observer: any OutboxChangeObserver,
        _ write: LaneSchedule.Write,
        _ outcome: DeliveryOutcome
    ) {
        guard let payload = write.payload, case .reply(let reply) = outcome,
            reply.isConfirmation || write.pending.method == .delete && reply.saysContactIsGone
        else { return }
        observer.delivered(
            DeliveredWrite(
                contact: write.pending.contact,
                key: write.key.fingerprint,
                sequence: write.pending.id.sequence,
                method: write.pending.method,
                body: payload.body,
                reply: reply.body,
                isConfirmed: reply.isConfirmation
            )
        )
    }

    private func log(_ attempt: AttemptRecord, _ write: LaneSchedule.Write) {
        // No contact data, and of the key its fingerprint alone (P7).
        parts.logger.debug(
            "a write will be tried again",
            metadata: [
                "write": "\(write.pending.id)", "contact": "\(write.pending.contact.path)",
                "key": "\(write.key.fingerprint)", "attempts": "\(attempt.after.attempts)",
                "error": "\(attempt.lastError)",
            ]
        )
    }

    private func log(_ notice: ForeignReplies.Notice) {
        switch notice {
        case .began(let reason):
            parts.logger.warning(
                "deliveries pause: something else than the API answers them; one at a time finds out when it is back",
                metadata: ["contacts": "\(ForeignReplies.maxContacts)", "error": "\(reason)"]
            )
        case .ended: parts.logger.notice("deliveries go on: the API answers them again")
        }
    }
}
