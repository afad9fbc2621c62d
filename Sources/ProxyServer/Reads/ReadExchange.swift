import NIOCore
import Outbox
import ResponseCache
import Upstream

/// Serves a read that cannot be answered at once: what it reads is fetched, or what is pending is looked up.
final class ReadExchange: Exchange {
    private let read: ReadRequest
    /// Whether the whole reply may be fetched on the client's behalf; else the upstream serves it alone.
    private let mayFetch: Bool
    private let server: ServerCore
    private let connection: ConnectionHandler
    private var validation: CacheValidation?
    private var status = CacheStatus()
    private var outlet: AnswerOutlet?
    /// The flight that this one waits for without leading it.
    private var joined: (flight: Flight, waiter: UInt64)?
    /// When something stale is served in the place of the upstream's reply.
    private var replyWait: Scheduled<Void>?
    /// Whether it is decided what to answer with, so that the upstream's reply comes too late.
    private var isSettled = false
    private var isOver = false

    init(_ read: ReadRequest, mayFetch: Bool, server: ServerCore, connection: ConnectionHandler) {
        self.read = read.detached
        self.mayFetch = mayFetch
        self.server = server
        self.connection = connection
    }

    private var eventLoop: any EventLoop { connection.eventLoopContext.eventLoop }

    // MARK: - Looking on disk

    /// Serves what is not in memory: from disk if it is there, else by the upstream.
    func missInMemory() {
        connection.serve(with: self)
        guard let disk = server.reads.disk else { return goOn() }
        let (key, eventLoop, bound) = (read.cacheKey, eventLoop, NIOLoopBound(self, eventLoop: eventLoop))
        Task {
            // What is found is in memory then.
            let lookup = await disk.load(key)
            eventLoop.execute { bound.value.goOn(lookup) }
        }
    }

    private func goOn(_ lookup: DiskCache.Lookup = .done) {
        guard !isOver else { return }
        let routing = ReadRouting(server: server)
        if lookup == .tooMany, !server.upstreamHealth.snapshot().isBelievedHealthy { return answerTooManyLookups() }
        switch lookupAgain() {
        case .fresh(let hit):
            show(hit.response, nil)
        case .stale(let hit, let revalidate):
            show(hit.response, nil)
            if let revalidate { routing.refresh(read, revalidate) }
        case .validate(let validation):
            self.validation = validation
            if routing.mustNotWait(for: validation, read), answerStale(nil, isDisconnected: true) {
                return routing.refresh(read, validation)
            }
            fetch(validation.forward, validation.token, validation)
        case .miss(let miss) where mayFetch:
            fetch(miss.forward, miss.token, nil)
        case .miss(let miss):
            routing.passThrough(read, miss.forward, miss.token, on: connection)
        case .onlyIfCached504:
            status = .unserved(detail: "only-if-cached")
            answer(
                server.errors.reply(
                    504,
                    "not_cached",
                    "The request wants nothing but a cached reply (only-if-cached), and there is none",
                    for: read.summary
                )
            )
        case .bypass:
            routing.passThrough(read, .bypass, nil, on: connection)
        }
    }

    /// It may well be on disk: that is not to be taken for nothing.
    private func answerTooManyLookups() {
        status = .unserved(detail: "too-many-lookups")
        answer(
            server.errors.reply(
                503,
                "too_many_lookups",
                "Too many reads wait for the cache on disk",
                retryAfterSeconds: 1,
                for: read.summary
            )
        )
    }

    private func lookupAgain() -> CacheAnswer {
        server.reads.cache.lookup(
            read.cacheKey,
            read.cacheRequest,
            nowMilliseconds: server.reads.clock.milliseconds(),
            isRepeated: true
        )
    }

    // MARK: - Fetching

    /// Fetches what is missing, or what has to be confirmed, together with everybody who asks for the same.
    func fetch(_ forward: CacheStatus.Forward, _ token: FetchToken, _ validation: CacheValidation?) {
        connection.serve(with: self)
        self.validation = validation
        status.forward = forward
        limitWait()
        let own = ownFlight(token)
        // A client that insists on the upstream's word gets one that was given to itself, and what cannot be shared is not
        // worth waiting for.
        if forward == .request || read.cacheRequest.insistsOnUpstream || server.reads.isUnstorable(read) {
            server.reads.flights.add(own, read.cacheKey)
            return lead(own)
        }
        joinOrLead(own)
    }

    private func ownFlight(_ token: FetchToken) -> Flight {
        Flight(token: token, isForOne: read.cacheRequest.forbidsStoring)
    }

    /// Waits for what is being fetched already, or fetches it.
    private func joinOrLead(_ own: Flight) {
        let (cache, key) = (server.reads.cache, read.cacheKey)
        let flight = server.reads.flights.join(
            key,
            canJoin: { cache.isCurrent(key, since: $0.token) },
            orBegin: own
        )
        guard flight === own else { return join(flight, own) }
        // Whoever fetches stores first, and only then lets nobody join any more: what has been stored since this request
        // was looked up is there now.
        guard case .fresh(let hit) = lookupAgain() else { return lead(own) }
        ReadRouting(server: server).giveUp(own, read)
        show(hit.response, nil)
    }

    private func join(_ flight: Flight, _ own: Flight) {
        guard server.reads.admitWaiter() else {
            if answerStale(nil, isDisconnected: false) { return }
            status.detail = "too-many-waiters"
            return answerError(
                server.errors.reply(
                    503,
                    "too_many_waiters",
                    "Too many reads wait for the upstream (reads.max_waiters)",
                    retryAfterSeconds: 1,
                    for: read.summary
                )
            )
        }
        let (eventLoop, bound) = (eventLoop, NIOLoopBound(self, eventLoop: eventLoop))
        let waiter = flight.wait { outcome in
            eventLoop.execute { bound.value.takeShared(outcome, own.token) }
        }
        guard let waiter else {
            // It has just ended.
            server.reads.releaseWaiter()
            return joinOrLead(own)
        }
        joined = (flight, waiter)
    }

    // MARK: - Waiting for the upstream

    /// Bounds the wait for the upstream where something stale may be served instead (`reads.reply_wait`).
    ///
    /// Not for a client that asks for the upstream's own word, nor for what a write has invalidated: that is not a matter
    /// of time.
    private func limitWait() {
        guard let validation, validation.forward == .stale, !validation.isInvalidated,
            !read.cacheRequest.insistsOnUpstream
        else { return }
        let bound = NIOLoopBound(self, eventLoop: eventLoop)
        replyWait = eventLoop.scheduleTask(in: .milliseconds(server.configuration.readReplyWaitMilliseconds)) {
            bound.value.endWait()
        }
    }

    /// Serves stale what may be; the fetch goes on, and the next reads do not wait for it.
    private func endWait() {
        replyWait = nil
        let now = server.reads.clock.milliseconds()
        guard !isOver, !isSettled, outlet?.hasBegun != true, let validation,
            let stale = ReadRouting(server: server).standIn(for: validation, read, isDisconnected: true, now),
            !stale.isInvalidated
        else { return }
        stopWaiting()
        server.reads.cache.noteFailure(
            read.cacheKey,
            read.cacheRequest,
            episode: server.upstreamHealth.snapshot().revision,
            nowMilliseconds: now
        )
        status.detail = "reply-wait"
        show(stale.hit.response, WireAdditions(cacheStatus: status))
    }

    /// Takes no notice of what is being fetched any more.
    private func stopWaiting() {
        replyWait?.cancel()
        replyWait = nil
        outlet?.cancel()
        outlet = nil
        guard let joined else { return }
        self.joined = nil
        joined.flight.leave(joined.waiter)
        server.reads.releaseWaiter()
    }

    private func takeShared(_ outcome: FlightOutcome, _ token: FetchToken) {
        guard !isOver, joined != nil else { return }
        joined = nil
        server.reads.releaseWaiter()
        switch outcome {
        case .reply(let reply) where reply.response.suits(read.cacheRequest):
            status.isCollapsed = true
            server.reads.countCollapsed()
            take(outcome)
        case .failed:
            status.isCollapsed = true
            server.reads.countCollapsed()
            take(outcome)
        case .reply, .notShared:
            // It may have been given up because there was something stored by then.
            if case .fresh(let hit) = lookupAgain() { return show(hit.response, nil) }
            let own = ownFlight(token)
            server.reads.flights.add(own, read.cacheKey)
            lead(own)
        }
    }

    /// Asks the upstream; the flight is in the table.
    private func lead(_ flight: Flight) {
        switch server.upstreamHealth.mayStart(origin: read.origin, traffic: .read) {
        case .refused(let retryAt):
            ReadRouting(server: server).giveUp(flight, read)
            answerUnreachable(retryAt)
        case .saturated:
            ReadRouting(server: server).giveUp(flight, read)
            answerUnreachable(.now + .seconds(1))
        case .go(let permit):
            let outlet = AnswerOutlet(connection, for: self)
            self.outlet = outlet
            let (eventLoop, bound) = (eventLoop, NIOLoopBound(self, eventLoop: eventLoop))
            let leader = ReadFetch.Leader(
                writer: AnswerWriter(outlet, eventLoop: eventLoop),
                // Writes may have come about by the time that the reply is there, and what it is says whether to store it.
                wantsWhole: read.cacheRequest.hasConditions || read.subject != .other,
                take: { outcome in eventLoop.execute { bound.value.take(outcome) } }
            )
            ReadFetch(read, status.forward ?? .miss, flight, validation, leader: leader, server: server).start(permit)
        }
    }

    // MARK: - Outcomes

    /// Answers with what was fetched, or with what stands in for it.
    private func take(_ outcome: FlightOutcome) {
        guard !isOver, !isSettled else { return }
        switch outcome {
        case .reply(let reply):
            status.forwardStatus = reply.upstreamStatus
            let attempt = WireAdditions(cacheStatus: status)
            if let failure = reply.failure, answerStale(attempt, isDisconnected: failure.isUnserved) { return }
            status.isStored = reply.isStored
            status.detail = reply.detail
            let age = reply.age.map { (name: "Age", value: $0) }
            var additions = WireAdditions(cacheStatus: status, fields: age + reply.cookies)
            additions.isFetched = true
            show(reply.response, additions)
        case .failed(let failure):
            status.detail = failure.code.detail
            if answerStale(WireAdditions(cacheStatus: status), isDisconnected: true) { return }
            answerError(server.errors.upstream(failure, unreachableStatus: 504, for: read.summary))
        case .notShared:
            // The upstream has gone while it was asked twice.
            answerUnreachable(.now + .seconds(1))
        }
    }

    /// Answers with what is stored, though it is stale, as the upstream fails; false if nothing may stand in.
    ///
    /// - Parameters:
    ///   - additions: What is said of the attempt; nil if there was none.
    ///   - isDisconnected: Whether the upstream cannot be reached, or has not served the request; else it has answered with
    ///     an error, or is not to be asked.
    private func answerStale(_ additions: WireAdditions?, isDisconnected: Bool) -> Bool {
        guard let validation,
            let stale = ReadRouting(server: server).standIn(
                for: validation,
                read,
                isDisconnected: isDisconnected,
                server.reads.clock.milliseconds()
            )
        else { return false }
        var additions = additions ?? stale.additions
        // However fresh it would be: a later write has put it in doubt.
        if stale.isInvalidated { additions?.cacheStatus?.ttlSeconds = 0 }
        show(stale.hit.response, additions)
        return true
    }

    private func answerUnreachable(_ retryAt: ContinuousClock.Instant) {
        if answerStale(nil, isDisconnected: true) { return }
        status = .unserved(detail: "upstream-unreachable")
        answerError(server.errors.upstreamUnreachable(504, retryAt: retryAt, for: read.summary))
    }

    /// Answers with an error of the relay's own, unless what is pending says more than it.
    private func answerError(_ reply: Reply) {
        isSettled = true
        guard server.reads.overlay.mayBePending(read, server.outbox) else { return answer(reply) }
        render(nil) { exchange, rendering in
            var reply = reply
            switch rendering {
            case .made(let response):
                return exchange.answer(response, WireAdditions(cacheStatus: exchange.status))
            case .noBase(let count) where count > 0:
                reply.headers.append((OverlayRendering.pendingField, String(count)))
            case .noBase, .unchanged, .unknown: break
            }
            exchange.answer(reply)
        }
    }

    // MARK: - Showing

    /// Answers with a reply, and with what is pending laid over it.
    func show(_ base: StoredResponse, _ additions: WireAdditions?) {
        isSettled = true
        connection.serve(with: self)
        switch server.reads.overlay.need(read, over: base, server.outbox) {
        case .none: answer(base, additions)
        case .rendered(let response): answer(response, additions)
        case .lookup:
            render(base) { exchange, rendering in
                switch rendering {
                case .made(let response): exchange.answer(response, additions)
                case .unchanged, .noBase: exchange.answer(base, additions)
                case .unknown:
                    // The outbox cannot be read: what it holds may be missing, and the reply says so.
                    var additions = additions ?? WireAdditions()
                    additions.fields.append((OverlayRendering.overlayField, "partial"))
                    exchange.answer(base, additions)
                }
            }
        }
    }

    private func render(
        _ base: StoredResponse?,
        _ use: @escaping @Sendable (ReadExchange, OverlayRendering) -> Void
    ) {
        let (read, server) = (read, server)
        let (eventLoop, bound) = (eventLoop, NIOLoopBound(self, eventLoop: eventLoop))
        Task {
            let rendering = await server.reads.overlay.render(read, over: base, server.outbox)
            eventLoop.execute {
                guard !bound.value.isOver else { return }
                use(bound.value, rendering)
            }
        }
    }

    private func answer(_ response: StoredResponse, _ additions: WireAdditions?) {
        connection.answer(
            CacheHit(response, for: read.cacheRequest),
            read.additions(additions, server),
            nowMilliseconds: server.reads.clock.milliseconds(),
            from: self
        )
    }

    private func answer(_ reply: Reply) {
        var reply = reply
        reply.headers.append(("Cache-Status", status.fieldValue))
        if let dead = read.deadField(server) { reply.headers.append(dead) }
        connection.answer(reply, from: self)
    }

    // MARK: - The connection's news

    func receive(_ bytes: ByteBuffer) {}

    func end() {}

    func resumeAnswer() { outlet?.resume() }

    /// The client has gone, or has its answer; what is being fetched is fetched all the same.
    func cancel() {
        isOver = true
        stopWaiting()
    }
}
