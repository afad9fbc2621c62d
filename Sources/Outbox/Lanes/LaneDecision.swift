import DexatelAPI

/// What an attempt that has ended changes, to be made durable; its lane goes on after that.
struct LaneDecision: Sendable {
    enum Change: Sendable {
        /// The write is sent again: not before that time, or before the upstream is there again if it waits only for that.
        case again(AttemptRecord, at: RelayTime, endsWithOutage: Bool)
        /// The write is held.
        case held(AttemptRecord)
        /// The write has ended, by this reply.
        case ended(EndRecord, DeliveryReply)
    }

    var claim: Claim
    var change: Change
    /// The sender that hears the reply once the end is durable.
    var waiter: Waiter?
    /// What the outcome says of the key, if the key is still the one that is used.
    var keyNews: KeyNews?

    /// What a reply says of its key.
    enum KeyNews: Sendable, Equatable {
        /// The upstream takes it: any reply of its own but 401 shows that.
        case taken
        /// It refuses it, and acknowledged writes wait for it.
        case held
    }

    /// Senders that need not wait any longer: 202 (design §3.2).
    var answers: [SenderAnswer] = []
    /// Others that need not.
    var released: Released = .none

    enum Released: Sendable, Equatable {
        case none
        /// Those of the lane.
        case lane
        /// Those of the lane, and those whose writes are sent with the key.
        case laneAndKey
        /// All.
        case all
    }

    /// Lanes that waited only for the upstream go on.
    var endsOutage = false

    var end: EndRecord? { if case .ended(let end, _) = change { end } else { nil } }
    var attempt: AttemptRecord? {
        switch change {
        case .again(let attempt, _, _), .held(let attempt): attempt
        case .ended: nil
        }
    }
}

/// Decides what outcomes mean: for the write, its lane, its key and the upstream.
struct LaneJudge: Sendable {
    var limits: LaneLimits
    /// Keys, and until when they are not used.
    var keys = KeyTurns()
    var upstream = UpstreamPauses()
    /// Acknowledged writes that die.
    var brake = DeathBrake()
    /// 403s that are tried again.
    var forbidden = ForbiddenRetries()
    /// The last 2xx that did not confirm a write, and how often in a row it came.
    private var unconfirmed: [Int64: (status: Int, count: Int)] = [:]

    /// Writes of which that is remembered at most (P8); past it all begin anew.
    private static let maxUnconfirmedWrites = 65_536

    init(limits: LaneLimits) { self.limits = limits }

    /// What is known of the world when an attempt has ended.
    struct World {
        var now: RelayTime
        /// Whether the key of the claim is still the one that its writes are sent with.
        var isKeyCurrent: Bool
        /// Writes with the key that were acknowledged and may be sent once it works, besides this one.
        var acknowledgedOthers: Int
        /// The full-jitter delay for an attempt count.
        var backoffMilliseconds: (Int64) -> Int64
    }

    /// Takes an outcome.
    mutating func decide(_ ended: AttemptOutcome, waiter: Waiter?, _ world: World) -> LaneDecision {
        let (claim, outcome, now) = (ended.claim, ended.outcome, world.now)
        var write = claim.write
        var verdict = DeliveryVerdict.judge(outcome, circumstances(of: write, waiter, now))
        if !world.isKeyCurrent, let again = verdict.withoutKey { verdict = .retry(again) }
        switch verdict {
        case .retry(let retry) where retry.isForeignNotFound || retry.isForeign:
            write.notFoundSince = write.notFoundSince ?? now
        default: write.notFoundSince = nil
        }
        let unconfirmedCount = countUnconfirmed(claim.sequence, outcome)
        write.attempts += 1
        write.log.append(Self.entry(outcome, ended.timing))
        let isOwnEnd = noteOwn(outcome)
        if verdict.retry?.pausesKey != true, world.isKeyCurrent { keys.endPausesInARow(claim.keyRow) }
        var decision = change(verdict, write, unconfirmedCount, ended, waiter, world)
        decision.endsOutage = decision.endsOutage || isOwnEnd
        if world.isKeyCurrent { tellKeys(outcome, claim, &decision, now) }
        return decision
    }

    private mutating func change(
        _ verdict: DeliveryVerdict,
        _ write: PendingWrite,
        _ unconfirmedCount: Int,
        _ ended: AttemptOutcome,
        _ waiter: Waiter?,
        _ world: World
    ) -> LaneDecision {
        let claim = ended.claim
        switch verdict {
        case .retry(let retry):
            if retry.isForeign,
                upstream.noteForeign(
                    claim.contact,
                    reason: retry.reason,
                    now: world.now,
                    maxMilliseconds: limits.foreignPauseMilliseconds
                )
            {
                var decision = again(claim, write, retry, unconfirmedCount, waiter, world)
                decision.released = .all
                return decision
            }
            return again(claim, write, retry, unconfirmedCount, waiter, world)
        case .delivered:
            upstream.noteDelivery()
            if claim.write.log.forbiddenInARow > 0 { forbidden.allow(world.now) }
            return self.ended(claim, write, .delivered, ended, waiter, world.isKeyCurrent ? .verified : nil)
        case .refused where waiter != nil:
            return self.ended(claim, write, .rejected, ended, waiter, nil)
        case .refused:
            guard brake.take(1, limit: limits.maxDeathsPerMinute, now: world.now) == 1 else {
                let retry = DeliveryVerdict.Retry(reason: ended.outcome.reasonOfBraking, isAtOnce: true)
                return again(claim, write, retry, unconfirmedCount, waiter, world)
            }
            return self.ended(claim, write, .dead, ended, waiter, nil)
        case .holdKey:
            if let waiter {
                var decision = self.ended(claim, write, .rejected, ended, waiter, .refused)
                if world.acknowledgedOthers > 0 { decision.keyNews = .held }
                return decision
            }
            var after = write
            after.nextAttempt = nil
            var decision = LaneDecision(
                claim: claim,
                change: .again(
                    AttemptRecord(before: claim.write, after: after, lastError: "status 401", refusedKey: claim.keyRow),
                    at: world.now,
                    endsWithOutage: false
                )
            )
            decision.keyNews = .held
            decision.released = .laneAndKey
            return decision
        case .holdWrite where waiter != nil:
            return self.ended(claim, write, .rejected, ended, waiter, nil)
        case .holdWrite:
            // The more often it was refused, the longer it rests.
            let times: Int64 = 1 << (max(write.log.forbiddenInARow, 1) - 1)
            let until = world.now + limits.holdProbeMilliseconds * times
            forbidden.note(until)
            return held(claim, write, .write, "status 403", until: until)
        }
    }

    // MARK: - Keys

    /// Any reply of the upstream's own but 401 shows that it takes the key.
    private mutating func tellKeys(
        _ outcome: DeliveryOutcome,
        _ claim: Claim,
        _ decision: inout LaneDecision,
        _ now: RelayTime
    ) {
        guard decision.keyNews == nil else { return }
        if case .reply(let reply) = outcome, reply.showsThatKeyIsTaken {
            decision.keyNews = .taken
        } else {
            keys.probeEnded(claim.sequence, of: claim.keyRow, probeAt: now + limits.holdProbeMilliseconds, now: now)
        }
    }

    // MARK: - Replies that are not the API's

    /// How often in a row the write has met the same 2xx that does not confirm it; what finds out whether a pause is over
    /// does not count.
    private mutating func countUnconfirmed(_ sequence: Int64, _ outcome: DeliveryOutcome) -> Int {
        guard case .reply(let reply) = outcome, (200..<300).contains(reply.status), reply.isForeign else {
            unconfirmed[sequence] = nil
            return 0
        }
        let known = unconfirmed[sequence] ?? (0, 0)
        guard !upstream.probesAlone else { return known.count }
        if unconfirmed.count >= Self.maxUnconfirmedWrites { unconfirmed = [:] }
        let count = known.status == reply.status ? known.count + 1 : 1
        unconfirmed[sequence] = (reply.status, count)
        return count
    }

    /// A reply of the API's own ends a pause that others' replies have brought about.
    private mutating func noteOwn(_ outcome: DeliveryOutcome) -> Bool {
        guard case .reply(let reply) = outcome, !reply.isForeign, reply.status < 500, reply.status != 404 else {
            return false
        }
        return upstream.noteOwn()
    }

    private func circumstances(
        of write: PendingWrite,
        _ waiter: Waiter?,
        _ now: RelayTime
    ) -> DeliveryVerdict.Circumstances {
        DeliveryVerdict.Circumstances(
            method: write.method,
            isAcknowledgedOrRetried: waiter == nil || write.attempts > 0,
            isNotFoundGraceOver: write.notFoundSince.map { now - $0 >= limits.notFoundGraceMilliseconds }
                ?? (limits.notFoundGraceMilliseconds == 0),
            isForeignGraceOver: write.notFoundSince.map { now - $0 >= limits.foreignReplyGraceMilliseconds }
                ?? (limits.foreignReplyGraceMilliseconds == 0)
        )
    }

    private static func entry(_ outcome: DeliveryOutcome, _ timing: AttemptOutcome.Timing) -> AttemptLog.Entry {
        var entry = AttemptLog.Entry(
            startedAtMilliseconds: timing.startedAtWallMilliseconds,
            durationMilliseconds: timing.durationMilliseconds
        )
        switch outcome {
        case .reply(let reply): entry.status = reply.status
        case .failure(let failure): entry.error = String(failure.message.prefix(AttemptLog.maxErrorCharacters))
        }
        return entry
    }

    // MARK: - Again

    private mutating func again(
        _ claim: Claim,
        _ write: PendingWrite,
        _ retry: DeliveryVerdict.Retry,
        _ unconfirmedCount: Int,
        _ waiter: Waiter?,
        _ world: World
    ) -> LaneDecision {
        var write = write
        write.isAmbiguous = write.isAmbiguous || retry.isAmbiguous
        var decision: LaneDecision
        let now = world.now
        if unconfirmedCount >= limits.maxUnconfirmed {
            // Sending it on and on would apply it on and on, perhaps.
            write.isAmbiguous = true
            unconfirmed[claim.sequence] = nil
            let error = "\(retry.reason), \(limits.maxUnconfirmed) times in a row"
            decision = held(claim, write, .unexpected, error, until: now)
        } else {
            let asked = min(max(retry.retryAfterMilliseconds ?? 0, 0), limits.maxRetryAfterMilliseconds)
            // A contact that fails whatever it is sent is not tried more often because it is written more often.
            let covered = claim.covered.map(\.attempts).max() ?? 0
            let backoff = { world.backoffMilliseconds(max(write.attempts, covered)) }
            let until = retry.isAtOnce ? now : now + max(asked, backoff())
            write.nextAttempt = until
            decision = LaneDecision(
                claim: claim,
                change: .again(
                    AttemptRecord(before: claim.write, after: write, lastError: retry.reason, refusedKey: nil),
                    at: until,
                    endsWithOutage: retry.endsWithOutage
                )
            )
            if retry.pausesKey {
                _ = keys.pause(
                    claim.keyRow,
                    asked: retry.retryAfterMilliseconds == nil ? nil : asked,
                    now: now,
                    backoffMilliseconds: world.backoffMilliseconds
                )
                decision.released = .laneAndKey
            }
            if retry.pausesUpstream, upstream.suspect(claim.contact, until: now + asked, now: now) {
                decision.released = .all
            }
        }
        // Its sender, and those behind it in the lane, are told 202 at the first retryable outcome (§3.2).
        if decision.released == .none { decision.released = .lane }
        if let waiter { decision.answers.append(waiter.accepted) }
        return decision
    }

    private func held(
        _ claim: Claim,
        _ write: PendingWrite,
        _ hold: WriteHold,
        _ error: String,
        until: RelayTime
    ) -> LaneDecision {
        var write = write
        write.hold = hold
        write.replay = max(write.replay, .underRule)
        write.nextAttempt = until
        return LaneDecision(
            claim: claim,
            change: .held(AttemptRecord(before: claim.write, after: write, lastError: error, refusedKey: nil))
        )
    }

    // MARK: - Ends

    /// Ends the write; a sender that waits gets the reply once that is durable.
    private func ended(
        _ claim: Claim,
        _ write: PendingWrite,
        _ state: WriteState,
        _ ended: AttemptOutcome,
        _ waiter: Waiter?,
        _ keyVerdict: EndRecord.KeyVerdict?
    ) -> LaneDecision {
        guard case .reply(let reply) = ended.outcome else { preconditionFailure("only a reply ends a write") }
        let isDelivered = state == .delivered
        let end = EndRecord(
            write: write,
            state: state,
            lastError: isDelivered ? nil : "status \(reply.status)",
            response: StoredReply(reply),
            keyVerdict: keyVerdict,
            keyRow: claim.keyRow,
            covered: isDelivered ? claim.covered : [],
            passes: isDelivered && claim.passes
        )
        return LaneDecision(claim: claim, change: .ended(end, reply), waiter: waiter)
    }
}

/// How many writes that were answered 403 are tried again, and when.
struct ForbiddenRetries: Sendable {
    /// When the first of them is due.
    private(set) var dueAt: RelayTime?
    private var count = 0
    private var until = RelayTime(milliseconds: 0)

    /// A write was answered 403, and may be tried again then.
    mutating func note(_ time: RelayTime) { dueAt = min(dueAt ?? time, time) }

    /// One that was answered 403 has been taken: others may be, too, and need not wait for the next `hold_probe`.
    mutating func allow(_ now: RelayTime) {
        count = 0
        if let dueAt, dueAt == until { self.dueAt = now }
    }

    /// How many may be tried again now; 0 for none.
    mutating func room(_ limits: LaneLimits, now: RelayTime) -> Int {
        guard let dueAt, dueAt <= now else { return 0 }
        self.dueAt = nil
        if now >= until { (count, until) = (0, now + limits.holdProbeMilliseconds) }
        let room = limits.maxForbiddenRetries - count
        if room <= 0 { self.dueAt = until }
        return max(room, 0)
    }

    /// So many have been let go.
    ///
    /// - Parameter next: When the next one is due; nil for none.
    mutating func released(_ released: Int, next: RelayTime?) {
        count += released
        dueAt = [next, dueAt].compactMap { $0 }.min()
    }
}

extension DeliveryOutcome {
    /// Why a write that was refused for good is sent once more.
    fileprivate var reasonOfBraking: String {
        guard case .reply(let reply) = self else { return "refused" }
        return "status \(reply.status), too many refusals within a minute (writes.max_deaths_per_minute)"
    }
}

extension DeliveryReply {
    /// Whether the upstream itself has answered, and not 401: then it takes the key.
    package var showsThatKeyIsTaken: Bool {
        status != 401 && !isForeign && !saysUpstreamIsAway && (status != 404 || saysContactIsGone)
    }
}
