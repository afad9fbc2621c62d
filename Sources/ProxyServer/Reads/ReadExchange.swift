import DexatelAPI
import HTTPClient
import NIOCore
import NIOHTTP1
import Outbox
import ResponseCache
import Upstream

/// Serves a read that cannot be answered at once: executes what ``ReadState`` decides.
final class ReadExchange: Exchange {
    private let read: ReadRequest
    private let server: ServerCore
    private let connection: ConnectionHandler
    private var state: ReadState
    /// The flight that it reads from, as its leader or not.
    private var place: (flight: Flight, reader: UInt64)?
    /// How many flights it has read from, the present one included.
    private var attachments = 0
    /// Whether it counts against `reads.max_waiters`.
    private var isWaiting = false
    private var isStreaming = false
    /// When something stale is served in the place of the upstream's reply.
    private var replyWait: Scheduled<Void>?

    /// - Parameter mayFetch: Whether the whole reply may be fetched on the client's behalf; else the upstream serves it alone.
    init(_ read: ReadRequest, mayFetch: Bool, server: ServerCore, connection: ConnectionHandler) {
        self.read = read.detached
        self.server = server
        self.connection = connection
        state = ReadState(
            ReadState.Habits(
                mayFetch: mayFetch,
                insists: read.cacheRequest.insistsOnUpstream,
                takesWhole: read.cacheRequest.hasConditions || read.subject != .other
            )
        )
    }

    private var eventLoop: any EventLoop { connection.eventLoopContext.eventLoop }

    private var routing: ReadRouting { ReadRouting(server: server) }

    /// Serves the read.
    ///
    /// - Parameter answer: What memory has.
    func begin(_ answer: CacheAnswer) {
        connection.serve(with: self)
        execute(found(answer))
    }

    private func found(_ answer: CacheAnswer) -> ReadState.Action {
        state.found(
            answer,
            mayBeOnDisk: { server.reads.disk?.mayHold(read.cacheKey) ?? false },
            mustNotWait: { routing.mustNotWait(for: $0, read) },
            isUnstorable: { server.reads.isUnstorable(read) }
        )
    }

    private func execute(_ action: ReadState.Action) {
        switch action {
        case .nothing: break
        case .lookOnDisk: lookOnDisk()
        case .lookUp: execute(found(lookUp()))
        case .fetch(let fetch): begin(fetch)
        case .leaveAndFetch(let token): leaveAndFetch(token)
        case .findStandIn(let validation, let isDisconnected):
            let now = server.reads.clock.milliseconds()
            let found = routing.standIn(for: validation, read, isDisconnected: isDisconnected, now)
            execute(state.standIn(found))
        case .overlay(let base, let revalidating, let endsWait):
            stopWaiting()
            if endsWait { noteSilence() }
            overlay(base)
            if let revalidating { routing.refresh(read, revalidating, near: eventLoop) }
        case .answer(let response, let additions): answer(response, additions)
        case .answerError(let problem, let status, let pendingCount):
            answer(problem, status, pendingCount: pendingCount)
        case .stream(let head, let status): stream(head, status)
        case .passThrough(let forward, let token): routing.passThrough(read, forward, token, on: connection)
        }
    }

    // MARK: - Looking

    private func lookOnDisk() {
        guard let disk = server.reads.disk else { return }
        let (key, bound) = (read.cacheKey, NIOLoopBound(self, eventLoop: eventLoop))
        Task {
            // What is found is in memory then.
            let lookup = await disk.load(key)
            bound.eventLoop.execute {
                let exchange = bound.value
                let isHealthy = exchange.server.upstreamHealth.snapshot().isBelievedHealthy
                exchange.execute(exchange.state.lookedOnDisk(lookup, isHealthy: isHealthy))
            }
        }
    }

    private func lookUp() -> CacheAnswer {
        server.reads.cache.lookup(
            read.cacheKey,
            read.cacheRequest,
            nowMilliseconds: server.reads.clock.milliseconds(),
            isRepeated: true
        )
    }

    // MARK: - Fetching

    private func begin(_ fetch: ReadState.Fetch) {
        if fetch.isTimed {
            let bound = NIOLoopBound(self, eventLoop: eventLoop)
            replyWait = eventLoop.scheduleTask(in: .milliseconds(server.configuration.readReplyWaitMilliseconds)) {
                bound.value.execute(bound.value.state.waitIsOver())
            }
        }
        if fetch.isAlone { leadAlone(fetch.token) } else { followOrLead(fetch.token) }
    }

    private func ownFlight(_ token: FetchToken) -> Flight {
        Flight(token: token, isForOne: read.cacheRequest.forbidsStoring)
    }

    private func leadAlone(_ token: FetchToken) {
        let own = ownFlight(token)
        server.reads.flights.add(own, read.cacheKey)
        lead(own)
    }

    /// Follows what is being fetched already, or fetches it.
    private func followOrLead(_ token: FetchToken) {
        let own = ownFlight(token)
        let (cache, key) = (server.reads.cache, read.cacheKey)
        while true {
            let flight = server.reads.flights.join(
                key,
                canJoin: { cache.isCurrent(key, since: $0.token) },
                orBegin: own
            )
            guard flight === own else {
                if follow(flight) { return }
                // It has just ended.
                continue
            }
            // A leader stores before it leaves the table: what has been stored since this request was looked up is there now.
            guard case .fresh(let hit) = lookUp() else { return lead(own) }
            routing.giveUp(own, read)
            return execute(state.foundMeanwhile(hit.response))
        }
    }

    /// Says whether there is nothing more to do for now.
    private func follow(_ flight: Flight) -> Bool {
        guard server.reads.admitWaiter() else {
            execute(state.crowded())
            return true
        }
        guard let head = attach(to: flight, isLeader: false) else {
            server.reads.releaseWaiter()
            return false
        }
        isWaiting = true
        state.follows()
        if let head { take(.head(head)) }
        return true
    }

    /// - Returns: The head if that is there, in a second optional; nil if it is too late.
    private func attach(to flight: Flight, isLeader: Bool) -> FlightHead?? {
        let bound = NIOLoopBound(self, eventLoop: eventLoop)
        let takesPieces = !state.takesWhole
        attachments += 1
        let place = flight.attach(isLeader: isLeader, takesPieces: takesPieces) { [attachments] news in
            bound.run { $0.take(news, attachments) }
        }
        guard let place else { return nil }
        self.place = (flight, place.reader)
        return .some(place.head)
    }

    /// Asks the upstream; the flight is in the table.
    private func lead(_ flight: Flight) {
        switch server.upstreamHealth.mayStart(origin: read.origin, traffic: .read) {
        case .refused(let retryAt):
            routing.giveUp(flight, read)
            execute(state.refused(retryAt: retryAt))
        case .saturated:
            routing.giveUp(flight, read)
            execute(state.refused(retryAt: nil))
        case .go(let permit):
            state.leads()
            _ = attach(to: flight, isLeader: true)
            ReadFetch.start(read, flight, state.validation, .read, permit, server: server, near: eventLoop)
        }
    }

    private func leaveAndFetch(_ token: FetchToken) {
        leave()
        // The flight may have been given up because there was something stored by then.
        if case .fresh(let hit) = lookUp() { return execute(state.foundMeanwhile(hit.response)) }
        leadAlone(token)
    }

    // MARK: - The flight's news

    /// Takes news unless it has left that flight; those of one that has gone may be on their way.
    private func take(_ news: FlightNews, _ attachment: Int) {
        if place != nil, attachment == attachments { take(news) }
    }

    private func take(_ news: FlightNews) {
        switch news {
        case .interim(let answer): connection.writeInterim(answer, from: self)
        case .head(let head): execute(state.head(head, suits: head.suits(read.cacheRequest)))
        case .tooLong(let head): execute(state.tooLong(head))
        case .more: drain()
        case .over(let outcome):
            var suits = true
            if case .reply(let reply) = outcome { suits = reply.response.suits(read.cacheRequest) }
            execute(state.landed(outcome, suits: suits))
        }
    }

    private func stream(_ head: FlightHead, _ status: CacheStatus) {
        endWaiting()
        if status.isCollapsed { server.reads.countCollapsed() }
        var answer = ForwardedReply.head(head.reply, method: .GET)
        if status.isCollapsed {
            // A cookie is for the client whose request has fetched it (RFC 9111 §7.3).
            answer.headers.removeAll { $0.name.isASCII("set-cookie") || $0.name.isASCII("set-cookie2") }
        }
        answer.headers.append(("Cache-Status", status.fieldValue))
        if read.mayBeOverlaid, let pending = read.key?.pendingCount, pending > 0 {
            // It was too long to be looked through.
            answer.headers.append((OverlayRendering.overlayField, "partial"))
        }
        isStreaming = true
        connection.beginAnswer(answer, from: self, status.isCollapsed ? .collapsed : .fetched)
        drain()
    }

    /// Passes on what there is of the body, as much as the client takes.
    private func drain() {
        while isStreaming, let place, connection.isWritable {
            switch place.flight.next(place.reader) {
            case .bytes(let bytes): connection.write(bytes, from: self)
            case .nothing: return
            case .end: return connection.endAnswer(from: self)
            case .broken: return connection.abortAnswer(from: self)
            }
        }
    }

    // MARK: - Waiting

    /// What is stale was served as the upstream did not answer in time: the next reads do not wait for it.
    private func noteSilence() {
        server.reads.cache.noteFailure(
            read.cacheKey,
            read.cacheRequest,
            episode: server.upstreamHealth.snapshot().revision,
            nowMilliseconds: server.reads.clock.milliseconds()
        )
    }

    /// Takes no notice of what is being fetched any more.
    private func stopWaiting() {
        endWaiting()
        leave()
    }

    private func endWaiting() {
        replyWait?.cancel()
        replyWait = nil
        guard isWaiting else { return }
        isWaiting = false
        server.reads.releaseWaiter()
    }

    private func leave() {
        if isWaiting {
            isWaiting = false
            server.reads.releaseWaiter()
        }
        guard let place = place.take() else { return }
        place.flight.leave(place.reader)
    }

    // MARK: - Answers

    /// Looks for what is pending.
    private func overlay(_ base: StoredResponse?) {
        if let base {
            switch server.reads.overlay.need(read, over: base, server.outbox) {
            case .none: return execute(state.overlaid(.unchanged))
            case .rendered(let response): return execute(state.overlaid(.made(response)))
            case .lookup: break
            }
        } else if !server.reads.overlay.mayBePending(read, server.outbox) {
            return execute(state.overlaid(.unchanged))
        }
        let (read, server) = (read, server)
        let bound = NIOLoopBound(self, eventLoop: eventLoop)
        Task {
            let rendering = await server.reads.overlay.render(read, over: base, server.outbox)
            bound.eventLoop.execute { bound.value.execute(bound.value.state.overlaid(rendering)) }
        }
    }

    private func answer(_ response: StoredResponse, _ additions: WireAdditions?) {
        if additions?.cacheStatus?.isCollapsed == true { server.reads.countCollapsed() }
        connection.answer(
            CacheHit(response, for: read.cacheRequest),
            read.additions(additions, server),
            nowMilliseconds: server.reads.clock.milliseconds(),
            from: self
        )
    }

    private func answer(_ problem: ReadState.Problem, _ status: CacheStatus, pendingCount: Int) {
        if status.isCollapsed { server.reads.countCollapsed() }
        var reply = server.errors.reply(problem, for: read.summary)
        if pendingCount > 0 { reply.headers.append((OverlayRendering.pendingField, String(pendingCount))) }
        reply.headers.append(("Cache-Status", status.fieldValue))
        if let dead = read.deadField(server) { reply.headers.append(dead) }
        connection.answer(reply, from: self)
    }

    // MARK: - The connection's news

    func receive(_ bytes: ByteBuffer) {}

    func end() {}

    func resumeAnswer() { drain() }

    /// The client has gone, or has its answer; what is being fetched is fetched all the same.
    func cancel() {
        state.cancel()
        isStreaming = false
        stopWaiting()
    }
}

extension RelayErrors {
    /// What a client is told that reads.
    func reply(_ problem: ReadState.Problem, for request: RequestSummary) -> Reply {
        switch problem {
        case .notCached:
            reply(
                504,
                "not_cached",
                "The request wants nothing but a cached reply (only-if-cached), and there is none",
                for: request
            )
        case .tooManyLookups:
            reply(
                503,
                "too_many_lookups",
                "Too many reads wait for the cache on disk",
                retryAfterSeconds: 1,
                for: request
            )
        case .tooManyWaiters:
            reply(
                503,
                "too_many_waiters",
                "Too many reads wait for the upstream (reads.max_waiters)",
                retryAfterSeconds: 1,
                for: request
            )
        case .unreachable(let retryAt):
            upstreamUnreachable(504, retryAt: retryAt ?? .now + .seconds(1), for: request)
        case .failed(let failure): upstream(failure, unreachableStatus: 504, for: request)
        }
    }
}
