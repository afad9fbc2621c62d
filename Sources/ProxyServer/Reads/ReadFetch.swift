import HTTPClient
import HTTPWire
import NIOCore
import NIOHTTP1
import Outbox
import ResponseCache
import Upstream

/// Asks the upstream for a reply, stores it, and brings it to the readers of its flight.
///
/// It lives on one event loop, that of the connection which it is sent over; if the leader's client is connected there, too,
/// nothing crosses threads.
final class ReadFetch: ExchangeDelegate {
    /// The body of an error that is taken into memory at most, to be shown to all who wait.
    static let maxErrorBytes = 64 << 10

    private enum Stage {
        /// There is no final reply yet.
        case asked
        /// The API key was refused, which is being noted on disk.
        case refused(ReplyMeaning, ReplyHead)
        /// A 304 has come.
        case confirmed(CacheValidation, ReplyHead)
        /// An error is coming.
        case failing(ReplyHead, FetchedReply.Failure)
        /// A reply is coming that may be stored.
        case storing(StoragePlan, ReplyHead)
        /// A reply is coming that is for the readers alone.
        case passing(ReplyHead, StoreRefusal)
        case over
    }

    private let read: ReadRequest
    private let flight: Flight
    private let validation: CacheValidation?
    private let traffic: TrafficClass
    private let server: ServerCore
    private let line: UpstreamLine
    private let then: @Sendable () -> Void
    /// Until when a reply has to be there that all readers wait for as a whole.
    private let deadline: ContinuousClock.Instant
    private var stage = Stage.asked
    private var permit: Permit?
    private var exchange: HTTPClient.Exchange?
    /// The stored reply whose validators were sent.
    private var conditions: CacheValidation?
    /// How the exchange has ended while a refusal was being noted.
    private var lateEnd: Result<Void, UpstreamFailure>?

    private init(
        _ read: ReadRequest,
        _ flight: Flight,
        _ validation: CacheValidation?,
        _ traffic: TrafficClass,
        _ server: ServerCore,
        _ line: UpstreamLine,
        then: @escaping @Sendable () -> Void
    ) {
        self.read = read
        self.flight = flight
        self.validation = validation
        self.traffic = traffic
        self.server = server
        self.line = line
        self.then = then
        deadline = .now + line.configuration.requestTimeout
    }

    /// Begins a fetch, at once if the event loop is the connection's.
    ///
    /// - Parameters:
    ///   - flight: In the table of flights, from which it is taken at the end.
    ///   - traffic: ``TrafficClass/confirmation`` where no client waits for it.
    ///   - eventLoop: The leader's.
    ///   - then: Called at the end.
    static func start(
        _ read: ReadRequest,
        _ flight: Flight,
        _ validation: CacheValidation?,
        _ traffic: TrafficClass,
        _ permit: Permit,
        server: ServerCore,
        near eventLoop: any EventLoop,
        then: @escaping @Sendable () -> Void = {}
    ) {
        let line = server.client.line(nearest: eventLoop)
        line.eventLoop.run {
            ReadFetch(read, flight, validation, traffic, server, line, then: then).begin(permit)
        }
    }

    private var cache: MemoryCache { server.reads.cache }

    private func begin(_ permit: Permit) {
        let bound = NIOLoopBound(self, eventLoop: line.eventLoop)
        flight.setDemand { demand in bound.run { $0.meet(demand) } }
        ask(permit, validation)
    }

    private func ask(_ permit: Permit, _ conditions: CacheValidation?) {
        self.permit = permit
        self.conditions = conditions
        stage = .asked
        var request = read.forwarded(conditions)
        request.traffic = traffic
        do throws(UpstreamFailure) {
            let exchange = try line.begin(request, delegate: self)
            if !exchange.isOver { self.exchange = exchange }
        } catch {
            failed(error)
        }
    }

    private func meet(_ demand: Flight.Demand) {
        switch demand {
        case .goOn: exchange?.resumeReading()
        case .stop: if case .passing = stage { stop(.notShared) }
        }
    }

    // MARK: - The exchange's news

    func sent() { flight.noteSent(server.reads.clock.milliseconds()) }

    func interim(_ head: ReceivedHead) { flight.interim(InterimAnswer(status: head.status, headers: head.headers)) }

    func head(_ head: ReceivedHead) {
        guard !head.isUnaskedNotModified else { return failed(.unaskedNotModified) }
        let meaning = server.meaning(
            status: head.status,
            headers: head.headers,
            to: read.head.target,
            .fetch(isConditional: conditions != nil),
            read.key
        )
        giveBackPermit(meaning, nil)
        var headers = head.headers
        HeaderHygiene.addVia(&headers, version: .http1_1)
        let reply = ReplyHead(
            status: head.status,
            headers: headers,
            times: server.reads.clock.times(askedAtMilliseconds: flight.sentMilliseconds)
        )
        guard let key = read.key, let refusal = server.note(meaning.key, of: key) else { return take(meaning, reply) }
        stage = .refused(meaning, reply)
        exchange?.pauseReading()
        let bound = NIOLoopBound(self, eventLoop: line.eventLoop)
        Task { [cache, cacheKey = read.cacheKey] in
            await cache.noteRefusal(refusal, of: cacheKey)
            bound.eventLoop.execute { bound.value.refusalIsNoted() }
        }
    }

    private func refusalIsNoted() {
        guard case .refused(let meaning, let reply) = stage else { return }
        take(meaning, reply)
        switch lateEnd {
        case nil: exchange?.resumeReading()
        case .success: ended(trailers: nil)
        case .failure(let failure): failed(failure)
        }
    }

    /// Decides by its head what becomes of a reply.
    private func take(_ meaning: ReplyMeaning, _ reply: ReplyHead) {
        switch (meaning.cache, conditions) {
        case (.confirms, let conditions?): stage = .confirmed(conditions, reply)
        case (.fails(let isUnserved), _): stage = .failing(reply, .init(isUnserved: isUnserved))
        default:
            do throws(StoreRefusal) {
                let plan = try storagePlan(reply)
                stage = .storing(plan, reply)
                flight.show(FlightHead(reply: reply, plan: plan))
            } catch {
                passOn(reply, error)
            }
        }
    }

    func body(_ bytes: ByteBuffer) {
        switch stage {
        case .asked, .confirmed, .over: break
        case .refused: _ = flight.append(bytes)
        case .failing(let reply, let failure):
            _ = flight.append(bytes)
            // An error that goes on and on is not worth reading; its head says enough.
            if flight.bodyBytes > Self.maxErrorBytes || isLate { endError(reply, failure, isWhole: false) }
        case .storing(let plan, let reply):
            _ = flight.append(bytes)
            if flight.bodyBytes > plan.maxBodyBytes { return tooLong(reply, plan.maxBodyBytes) }
            if isLate { failed(.tooSlow) }
        case .passing(let reply, let refusal):
            if flight.append(bytes) { exchange?.pauseReading() }
            guard case .passing = stage, !flight.isStreamed else { return }
            if flight.bodyBytes > cache.configuration.maxObjectBytes {
                flight.hurryLeader(FlightHead(reply: reply, plan: nil, detail: refusal.rawValue))
            } else if isLate {
                failed(.tooSlow)
            }
        }
    }

    func ended(trailers: HTTPHeaders?) {
        exchange = nil
        switch stage {
        case .asked, .over: break
        case .refused: lateEnd = .success(())
        case .confirmed(let conditions, let reply): confirm(conditions, reply)
        case .failing(let reply, let failure): endError(reply, failure, isWhole: true)
        case .storing(let plan, let reply):
            let fetched = keep(plan, reply, flight.body)
            end(.reply(fetched), reply, isWhole: true)
        case .passing(let reply, let refusal):
            let isStreamed = flight.isStreamed
            let fetched = FetchedReply(
                response: .unstored(reply, body: isStreamed ? ByteBuffer() : flight.body),
                upstreamStatus: reply.status,
                detail: refusal.rawValue,
                age: reply.headers["Age"]
            )
            end(.notShared, leaders: .reply(fetched), reply, isWhole: true)
        }
    }

    func failed(_ failure: ExchangeFailure) { failed(UpstreamFailure(failure)) }

    private func failed(_ failure: UpstreamFailure) {
        switch stage {
        case .over: return
        case .refused:
            exchange = nil
            lateEnd = .failure(failure)
        case .asked, .storing, .passing:
            let meaning = ReplyMeaning(failure, to: .fetch(isConditional: conditions != nil))
            giveBackPermit(meaning, failure.description)
            noteFailure()
            stop(.failed(failure))
        case .confirmed(let conditions, let reply):
            exchange = nil
            confirm(conditions, reply)
        case .failing(let reply, let error): endError(reply, error, isWhole: false)
        }
    }

    // MARK: - Ends

    private func giveBackPermit(_ meaning: ReplyMeaning, _ error: String?) {
        guard let permit = permit.take() else { return }
        server.upstreamHealth.ended(permit, meaning.breaker, error: error)
    }

    /// Ends it, and the exchange with it if that is still under way.
    private func stop(_ outcome: FlightOutcome) {
        let exchange = exchange.take()
        end(outcome)
        exchange?.cancel()
    }

    /// Lets nobody follow any more, and tells the readers.
    private func end(
        _ outcome: FlightOutcome,
        leaders: FlightOutcome? = nil,
        _ reply: ReplyHead? = nil,
        isWhole: Bool = false
    ) {
        stage = .over
        server.reads.flights.remove(flight, read.cacheKey)
        let own = leaders ?? outcome
        flight.end(outcome, leaders: reply.map { own.with(cookiesOf: $0.headers) } ?? own, isWhole: isWhole)
        then()
    }

    /// A body that dribbles never stands still for `upstream.request_timeout`, and those that wait for all of it would wait
    /// for hours.
    private var isLate: Bool { !flight.isStreamed && ContinuousClock.now > deadline }

    /// Nobody is to wait for the next time-out about the same (P6).
    private func noteFailure() {
        guard validation != nil else { return }
        cache.noteFailure(
            read.cacheKey,
            read.cacheRequest,
            episode: server.upstreamHealth.snapshot().revision,
            nowMilliseconds: server.reads.clock.milliseconds()
        )
    }

    private func storagePlan(_ reply: ReplyHead) throws(StoreRefusal) -> StoragePlan {
        try StoragePlan(
            reply,
            to: read.cacheRequest.asGet,
            key: read.cacheKey,
            token: flight.token,
            cache.configuration
        )
    }

    // MARK: - What the upstream says

    private func confirm(_ conditions: CacheValidation, _ reply: ReplyHead) {
        let isOvertaken = flight.isOvertaken
        let fresh = cache.freshen(
            conditions,
            by: reply,
            to: read.cacheRequest,
            key: read.cacheKey,
            isStoring: !isOvertaken
        )
        guard let fresh else {
            // It speaks of something else than what is stored: asked again, without conditions.
            guard case .go(let permit) = server.upstreamHealth.mayStart(origin: read.origin, traffic: .read) else {
                return end(.notShared)
            }
            return ask(permit, nil)
        }
        if !isOvertaken, !fresh.isForOneClient { server.reads.flights.noteStored(flight, read.cacheKey) }
        server.reads.noteStorability(fresh, of: read)
        let fetched = FetchedReply(
            response: fresh.response,
            upstreamStatus: 304,
            isStored: fresh.refusal == nil && !fresh.isForOneClient,
            detail: fresh.refusal?.rawValue,
            age: reply.headers["Age"]
        )
        let isShared = !read.cacheRequest.carriesCredentials || !fresh.isForOneClient
        end(isShared ? .reply(fetched) : .notShared, leaders: .reply(fetched), reply)
    }

    /// The upstream fails: what is stored may be served stale, and else all readers get to see the error, which is stored if it
    /// says for how long.
    private func endError(_ reply: ReplyHead, _ failure: FetchedReply.Failure, isWhole: Bool) {
        stage = .over
        let exchange = exchange.take()
        let isWhole = isWhole && flight.bodyBytes <= Self.maxErrorBytes
        let body = isWhole ? flight.body : ByteBuffer()
        var own = FetchedReply(
            response: .unstored(reply, body: body),
            upstreamStatus: reply.status,
            age: reply.headers["Age"]
        )
        if isWhole, let plan = try? storagePlan(reply) { own = keep(plan, reply, body) }
        own.failure = failure
        var others = FlightOutcome.reply(own)
        if !own.isStored, !MemoryCache.isForAll(reply, to: read.cacheRequest, key: read.cacheKey) {
            // With other credentials there may be another answer: the others ask for their own. Else it may speak of the
            // client that asked: the others get to know no more than that it failed.
            others = read.cacheRequest.carriesCredentials ? .notShared : .reply(own.bare(reply))
        }
        end(others, leaders: .reply(own), reply)
        exchange?.cancel()
    }

    private func keep(_ plan: StoragePlan, _ reply: ReplyHead, _ body: ByteBuffer) -> FetchedReply {
        let age = reply.headers["Age"]
        do throws(StoreRefusal) {
            if flight.isOvertaken { throw StoreRefusal.superseded }
            let response = try cache.store(plan, body: body) { response in
                guard read.subject.isAnswered(by: response) else { return .unexpected }
                return server.reads.overlay.admits(read.cacheKey, response) ? nil : .superseded
            }
            server.reads.flights.noteStored(flight, read.cacheKey)
            server.reads.noteStorable(read)
            return FetchedReply(response: response, upstreamStatus: reply.status, isStored: true, age: age)
        } catch {
            let response = (try? plan.response(body: body)) ?? .unstored(reply, body: body)
            return FetchedReply(response: response, upstreamStatus: reply.status, detail: error.rawValue, age: age)
        }
    }

    /// Hands a reply on that must not be stored: to the leader, and to no one else.
    private func passOn(_ reply: ReplyHead, _ refusal: StoreRefusal) {
        cache.note(unstored: reply, to: read.cacheRequest, key: read.cacheKey)
        // First, so that those who have waited and those who come now do not wait for each other.
        if refusal.isLasting { server.reads.noteUnstorable(read) }
        stream(reply, refusal, maxLagBytes: 0)
        guard case .passing = stage else { return }
        flight.show(FlightHead(reply: reply, plan: nil, detail: refusal.rawValue))
    }

    /// A body is longer than what is stored: it is a stream from here on, for those that read it already.
    private func tooLong(_ reply: ReplyHead, _ maxBytes: Int) {
        cache.note(unstored: reply, to: read.cacheRequest, key: read.cacheKey)
        server.reads.noteUnstorable(read)
        stream(reply, .tooLarge, maxLagBytes: maxBytes)
        guard case .passing = stage else { return }
        flight.hurryLeader(FlightHead(reply: reply, plan: nil, detail: StoreRefusal.tooLarge.rawValue))
    }

    private func stream(_ reply: ReplyHead, _ refusal: StoreRefusal, maxLagBytes: Int) {
        stage = .passing(reply, refusal)
        server.reads.flights.remove(flight, read.cacheKey)
        if !flight.stream(maxLagBytes: maxLagBytes) { stop(.notShared) }
    }
}
