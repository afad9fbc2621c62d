import ResponseCache
import Upstream

/// Decides what a read is answered with, and what has to be done for it.
///
/// It takes one event at a time, without a clock, a lock or any I/O; ``ReadExchange`` executes.
///
/// A read is answered once: with the first `answer`, `answerError`, `stream` or `passThrough`. A stored reply that is past
/// its lifetime is only shown where ``Action/findStandIn(_:isDisconnected:)`` has found that it may be.
struct ReadState {
    /// What of a request matters here.
    struct Habits {
        /// Whether the whole reply may be fetched on the client's behalf; else the upstream serves it alone.
        var mayFetch: Bool
        /// Whether the client asks for the upstream's own word (`no-cache`, `max-age=0`).
        var insists: Bool
        /// Whether the reply is needed in one piece: conditions are to be judged, or writes to be laid over it.
        var takesWhole: Bool
    }

    /// Why the relay answers with an error of its own.
    enum Problem {
        case notCached
        case tooManyLookups
        case tooManyWaiters
        /// - Parameter retryAt: When asking again may help; nil for soon.
        case unreachable(retryAt: ContinuousClock.Instant?)
        case failed(UpstreamFailure)
    }

    /// How a fetch begins.
    struct Fetch {
        var token: FetchToken
        /// Whether it is not to follow one that is under way.
        var isAlone: Bool
        /// Whether something stale is shown if it takes longer than `reads.reply_wait`.
        var isTimed: Bool
    }

    /// What is to be done.
    enum Action {
        case nothing
        /// Look on disk, then tell ``ReadState/lookedOnDisk(_:isHealthy:)``.
        case lookOnDisk
        /// Look in memory again, then tell ``ReadState/found(_:mayBeOnDisk:mustNotWait:isUnstorable:)``.
        case lookUp
        /// Follow a flight or lead one, then tell ``ReadState/follows()``, ``ReadState/crowded()`` or ``ReadState/leads()``.
        case fetch(Fetch)
        /// Leave the flight and lead one, unless there is something fresh by now.
        case leaveAndFetch(FetchToken)
        /// Ask the cache whether something stale may be shown, then tell ``ReadState/standIn(_:)``.
        case findStandIn(CacheValidation, isDisconnected: Bool)
        /// Find out what is pending, then tell ``ReadState/overlaid(_:)``.
        ///
        /// - Parameters:
        ///   - base: The reply that is to be shown; nil for an error of the relay's own.
        ///   - revalidating: What is to be confirmed behind the client's back.
        ///   - endsWait: Whether the upstream was too slow, which the next reads need not find out again.
        case overlay(base: StoredResponse?, revalidating: CacheValidation?, endsWait: Bool)
        case answer(StoredResponse, WireAdditions?)
        /// - Parameter pendingCount: How many writes of the client's wait.
        case answerError(Problem, CacheStatus, pendingCount: Int)
        /// Answer with the reply as it comes.
        case stream(FlightHead, CacheStatus)
        case passThrough(CacheStatus.Forward, FetchToken?)
    }

    private enum Stage {
        case new
        case lookingOnDisk
        case lookedOnDisk
        /// It is being found out whether there is a flight to follow.
        case boarding
        case following
        case leading
        case streaming
        /// It is decided what to answer with.
        case settled(Settled)
        case over
    }

    private enum Settled {
        case reply(StoredResponse, WireAdditions?)
        case problem(Problem)
    }

    /// What was to happen when it was asked whether something stale may be shown.
    private enum Otherwise {
        /// The upstream is believed not to answer.
        case fetch(CacheValidation, isUnstorable: Bool)
        case giveUp(Problem)
        case show(FetchedReply)
        case goOnWaiting
    }

    private let habits: Habits
    private var stage = Stage.new
    /// The stored reply that is to be confirmed.
    private(set) var validation: CacheValidation?
    private var token: FetchToken?
    private var status = CacheStatus()
    private var otherwise: Otherwise?

    init(_ habits: Habits) { self.habits = habits }

    /// Whether the reply is needed in one piece.
    var takesWhole: Bool { habits.takesWhole }

    // MARK: - Looking

    /// Takes what memory has.
    mutating func found(
        _ answer: CacheAnswer,
        mayBeOnDisk: () -> Bool,
        mustNotWait: (CacheValidation) -> Bool,
        isUnstorable: () -> Bool
    ) -> Action {
        var isFirst = false
        switch stage {
        case .new: isFirst = true
        case .lookedOnDisk: break
        default: return .nothing
        }
        switch answer {
        case .fresh(let hit): return show(hit.response, nil)
        case .stale(let hit, let revalidate): return show(hit.response, nil, revalidating: revalidate)
        case .validate(let validation):
            self.validation = validation
            guard mustNotWait(validation) else {
                return fetch(validation.forward, validation.token, isUnstorable: isUnstorable())
            }
            return findStandIn(isDisconnected: true, otherwise: .fetch(validation, isUnstorable: isUnstorable()))
        case .miss, .onlyIfCached504:
            if isFirst, mayBeOnDisk() {
                stage = .lookingOnDisk
                return .lookOnDisk
            }
            guard case .miss(let miss) = answer else {
                status = .unserved(detail: "only-if-cached")
                return settle(.problem(.notCached))
            }
            guard habits.mayFetch else { return passThrough(miss.forward, miss.token) }
            return fetch(miss.forward, miss.token, isUnstorable: isUnstorable())
        case .bypass: return passThrough(.bypass, nil)
        }
    }

    /// Takes the end of the look-up on disk; what it has found is in memory.
    mutating func lookedOnDisk(_ lookup: DiskCache.Lookup, isHealthy: Bool) -> Action {
        guard case .lookingOnDisk = stage else { return .nothing }
        stage = .lookedOnDisk
        // It may well be on disk: that is not to be taken for nothing.
        guard lookup == .tooMany, !isHealthy else { return .lookUp }
        status = .unserved(detail: "too-many-lookups")
        return settle(.problem(.tooManyLookups))
    }

    private mutating func passThrough(_ forward: CacheStatus.Forward, _ token: FetchToken?) -> Action {
        stage = .over
        return .passThrough(forward, token)
    }

    // MARK: - Fetching

    private mutating func fetch(
        _ forward: CacheStatus.Forward,
        _ token: FetchToken,
        isUnstorable: Bool
    ) -> Action {
        stage = .boarding
        status.forward = forward
        self.token = token
        // What a write has invalidated is not a matter of time.
        let isTimed = validation.map { $0.forward == .stale && !$0.isInvalidated && !habits.insists } ?? false
        // A client that insists on the upstream's word gets one that was given to itself, and what cannot be shared is not
        // worth waiting for.
        let isAlone = forward == .request || habits.insists || isUnstorable
        return .fetch(Fetch(token: token, isAlone: isAlone, isTimed: isTimed))
    }

    /// Takes note that something has been stored since the look-up.
    mutating func foundMeanwhile(_ response: StoredResponse) -> Action {
        switch stage {
        case .boarding, .following: return show(response, nil)
        default: return .nothing
        }
    }

    /// Takes note that the read follows another's flight.
    mutating func follows() { if case .boarding = stage { stage = .following } }

    /// Takes note that the read leads a flight of its own.
    mutating func leads() { if case .boarding = stage { stage = .leading } }

    /// Takes note that too many reads wait already.
    mutating func crowded() -> Action {
        guard case .boarding = stage else { return .nothing }
        return findStandIn(isDisconnected: false, otherwise: .giveUp(.tooManyWaiters))
    }

    /// Takes note that the upstream is not to be asked.
    mutating func refused(retryAt: ContinuousClock.Instant?) -> Action {
        switch stage {
        case .boarding, .leading:
            return findStandIn(isDisconnected: true, otherwise: .giveUp(.unreachable(retryAt: retryAt)))
        default: return .nothing
        }
    }

    // MARK: - The flight's news

    /// Takes the head of a reply whose body is arriving.
    ///
    /// - Parameter suits: Whether it may be the reply to this request, too.
    mutating func head(_ head: FlightHead, suits: Bool) -> Action {
        guard !habits.takesWhole else { return .nothing }
        switch stage {
        case .leading: return stream(head)
        case .following: return suits ? stream(head) : leave()
        default: return .nothing
        }
    }

    /// Takes note that the reply is too long to be waited for as a whole.
    mutating func tooLong(_ head: FlightHead) -> Action {
        if case .leading = stage { stream(head) } else { .nothing }
    }

    private mutating func stream(_ head: FlightHead) -> Action {
        if case .following = stage { status.isCollapsed = true }
        stage = .streaming
        status.forwardStatus = head.reply.status
        status.ttlSeconds = head.plan?.freshness.lifetimeSeconds
        // Of a reply of unknown length nobody knows yet whether it fits.
        status.isStored = head.plan != nil && head.hasKnownLength
        status.detail = head.detail
        return .stream(head, status)
    }

    private mutating func leave() -> Action {
        guard let token else { return .nothing }
        stage = .boarding
        return .leaveAndFetch(token)
    }

    /// Takes the outcome of the flight.
    ///
    /// - Parameter suits: Whether its reply may be the reply to this request, too.
    mutating func landed(_ outcome: FlightOutcome, suits: Bool) -> Action {
        switch (stage, outcome) {
        case (.leading, _): return take(outcome)
        case (.following, .reply) where suits, (.following, .failed):
            status.isCollapsed = true
            return take(outcome)
        case (.following, _): return leave()
        default: return .nothing
        }
    }

    private mutating func take(_ outcome: FlightOutcome) -> Action {
        switch outcome {
        case .reply(let reply):
            status.forwardStatus = reply.upstreamStatus
            guard let failure = reply.failure else { return show(reply) }
            return findStandIn(isDisconnected: failure.isUnserved, otherwise: .show(reply))
        case .failed(let failure):
            status.detail = failure.code.detail
            return findStandIn(isDisconnected: true, otherwise: .giveUp(.failed(failure)))
        case .notShared:
            // The upstream has gone while it was asked twice.
            return findStandIn(isDisconnected: true, otherwise: .giveUp(.unreachable(retryAt: nil)))
        }
    }

    /// Takes note that `reads.reply_wait` is over.
    mutating func waitIsOver() -> Action {
        switch stage {
        case .following, .leading: return findStandIn(isDisconnected: true, otherwise: .goOnWaiting)
        default: return .nothing
        }
    }

    /// Takes note that the client has gone, or has its answer.
    mutating func cancel() { stage = .over }

    // MARK: - Stale replies

    private mutating func findStandIn(isDisconnected: Bool, otherwise: Otherwise) -> Action {
        self.otherwise = otherwise
        guard let validation else { return standIn(nil) }
        return .findStandIn(validation, isDisconnected: isDisconnected)
    }

    /// Takes what may be shown though it is stale; nil for nothing.
    mutating func standIn(_ found: StandIn?) -> Action {
        guard let otherwise = otherwise.take() else { return .nothing }
        guard let found else { return goOn(otherwise) }
        var additions: WireAdditions?
        var (revalidating, endsWait) = (CacheValidation?.none, false)
        switch otherwise {
        case .fetch(let validation, _): revalidating = validation
        case .giveUp(.tooManyWaiters), .giveUp(.unreachable): break
        case .goOnWaiting:
            if found.isInvalidated { return .nothing }
            endsWait = true
            status.detail = "reply-wait"
            additions = WireAdditions(cacheStatus: status)
        case .show, .giveUp: additions = WireAdditions(cacheStatus: status)
        }
        additions = additions ?? found.additions
        // However fresh it would be: a later write has put it in doubt.
        if found.isInvalidated { additions?.cacheStatus?.ttlSeconds = 0 }
        return show(found.hit.response, additions, revalidating: revalidating, endsWait: endsWait)
    }

    private mutating func goOn(_ otherwise: Otherwise) -> Action {
        switch otherwise {
        case .goOnWaiting: return .nothing
        case .fetch(let validation, let isUnstorable):
            return fetch(validation.forward, validation.token, isUnstorable: isUnstorable)
        case .show(let reply): return show(reply)
        case .giveUp(let problem):
            switch problem {
            case .tooManyWaiters: status.detail = "too-many-waiters"
            case .unreachable: status = .unserved(detail: "upstream-unreachable")
            case .notCached, .tooManyLookups, .failed: break
            }
            return settle(.problem(problem))
        }
    }

    // MARK: - Answers

    private mutating func show(_ reply: FetchedReply) -> Action {
        status.isStored = reply.isStored
        status.detail = reply.detail
        let age = reply.age.map { (name: "Age", value: $0) }
        var additions = WireAdditions(cacheStatus: status, fields: age + reply.cookies)
        additions.isFetched = true
        return show(reply.response, additions)
    }

    private mutating func show(
        _ response: StoredResponse,
        _ additions: WireAdditions?,
        revalidating: CacheValidation? = nil,
        endsWait: Bool = false
    ) -> Action {
        settle(.reply(response, additions), revalidating: revalidating, endsWait: endsWait)
    }

    private mutating func settle(
        _ settled: Settled,
        revalidating: CacheValidation? = nil,
        endsWait: Bool = false
    ) -> Action {
        stage = .settled(settled)
        var base: StoredResponse?
        if case .reply(let response, _) = settled { base = response }
        return .overlay(base: base, revalidating: revalidating, endsWait: endsWait)
    }

    /// Takes what is to be shown with the client's own writes laid over it.
    mutating func overlaid(_ rendering: OverlayRendering) -> Action {
        guard case .settled(let settled) = stage else { return .nothing }
        stage = .over
        switch (settled, rendering) {
        case (.reply(_, let additions), .made(let response)): return .answer(response, additions)
        case (.reply(let base, let additions), .unchanged), (.reply(let base, let additions), .noBase):
            return .answer(base, additions)
        case (.reply(let base, var additions), .unknown):
            // The outbox cannot be read: what it holds may be missing, and the reply says so.
            additions = additions ?? WireAdditions()
            additions?.fields.append((OverlayRendering.overlayField, "partial"))
            return .answer(base, additions)
        // What is pending says more than an error.
        case (.problem, .made(let response)): return .answer(response, WireAdditions(cacheStatus: status))
        case (.problem(let problem), .noBase(let count)): return .answerError(problem, status, pendingCount: count)
        case (.problem(let problem), .unchanged), (.problem(let problem), .unknown):
            return .answerError(problem, status, pendingCount: 0)
        }
    }
}
