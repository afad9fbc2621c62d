import HTTPClient
import HTTPWire
import NIOCore
import NIOHTTP1
import Outbox
import ResponseCache
import Upstream

/// Asks the upstream for a reply, stores it, and brings it to everybody who waits for it.
///
/// The client that began it gets the reply as it comes; those who came later get it whole. It goes on when they hang
/// up, as long as the reply can be stored.
struct ReadFetch: Sendable {
    /// The client on whose behalf the upstream is asked.
    struct Leader: Sendable {
        let writer: AnswerWriter
        /// Whether it wants the reply in one piece: conditions are to be judged, or writes to be laid over it.
        let wantsWhole: Bool
        /// Takes what becomes of the fetch, unless the reply was streamed.
        let take: @Sendable (FlightOutcome) -> Void
    }

    /// The body of an error that is taken into memory at most, to be shown to all who wait.
    static let maxErrorBytes = 64 << 10

    private let read: ReadRequest
    private let forward: CacheStatus.Forward
    private let validation: CacheValidation?
    private let leader: Leader?
    private let server: ServerCore
    private let flight: Flight
    /// Until when a reply has to be there that somebody waits for as a whole.
    private let deadline: ContinuousClock.Instant

    /// - Parameter flight: In the table of flights, from which it is taken at the end.
    init(
        _ read: ReadRequest,
        _ forward: CacheStatus.Forward,
        _ flight: Flight,
        _ validation: CacheValidation?,
        leader: Leader?,
        server: ServerCore
    ) {
        self.read = read
        self.forward = forward
        self.flight = flight
        self.validation = validation
        self.leader = leader
        self.server = server
        deadline = .now + server.client.configuration.requestTimeout
    }

    /// Begins.
    ///
    /// - Parameter then: Called at the end.
    func start(_ permit: Permit, then: @escaping @Sendable () -> Void = {}) {
        Task {
            await run(permit, validation)
            then()
        }
    }

    private var cache: MemoryCache { server.reads.cache }

    private func run(_ permit: Permit, _ validation: CacheValidation?) async {
        var request = read.forwarded(validation)
        request.traffic = leader == nil ? .confirmation : .read
        let stream: UpstreamStream
        do throws(UpstreamFailure) {
            stream = try await server.client.open(
                request,
                body: nil as RequestBodyPieces?,
                length: nil,
                sent: { [flight, clock = server.reads.clock] in flight.noteSent(clock.milliseconds()) },
                interim: { [leader] in leader?.writer.interim(InterimAnswer(status: $0, headers: $1)) }
            )
        } catch {
            let meaning = ReplyMeaning(error, to: .fetch(isConditional: validation != nil))
            server.upstreamHealth.ended(permit, meaning.breaker, error: error.description)
            noteFailure()
            return end(.failed(error))
        }
        let meaning = server.meaning(
            stream,
            to: read.head.target,
            .fetch(isConditional: validation != nil),
            read.key
        )
        server.upstreamHealth.ended(permit, meaning.breaker)
        var headers = stream.headers
        HeaderHygiene.addVia(&headers, version: .http1_1)
        let reply = ReplyHead(
            status: stream.status,
            headers: headers,
            times: server.reads.clock.times(askedAtMilliseconds: flight.sentMilliseconds)
        )
        await server.note(meaning.key, of: read.key, target: read.head.target)
        switch (meaning.cache, validation) {
        case (.confirms, let validation?): await confirm(validation, reply, stream)
        case (.fails(let isUnserved), _): await takeError(reply, stream, isUnserved: isUnserved)
        default:
            do {
                let plan = try storagePlan(reply)
                await store(plan, reply, stream)
            } catch {
                await passOn(reply, stream, refusal: error)
            }
        }
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

    /// Nobody joins any more, and everybody who waits is told.
    private func end(_ outcome: FlightOutcome, _ reply: ReplyHead? = nil) {
        endSharing(outcome)
        leader?.take(reply.map { outcome.with(cookiesOf: $0.headers) } ?? outcome)
    }

    private func endSharing(_ outcome: FlightOutcome) {
        server.reads.flights.remove(flight, read.cacheKey)
        flight.end(outcome)
    }

    // MARK: - What the upstream says

    private func confirm(_ validation: CacheValidation, _ reply: ReplyHead, _ stream: UpstreamStream) async {
        // There is no body, but its end frees the connection.
        do { for try await _ in stream.body {} } catch {}
        let isOvertaken = flight.isOvertaken
        guard
            let fresh = cache.freshen(
                validation,
                by: reply,
                to: read.cacheRequest,
                key: read.cacheKey,
                isStoring: !isOvertaken
            )
        else {
            // It speaks of something else than what is stored: asked again, without conditions.
            guard case .go(let permit) = server.upstreamHealth.mayStart(origin: read.origin, traffic: .read) else {
                return end(.notShared)
            }
            return await run(permit, nil)
        }
        if !isOvertaken, !fresh.isForOneClient { server.reads.flights.noteStored(flight, read.cacheKey) }
        noteStorability(fresh)
        let fetched = FetchedReply(
            response: fresh.response,
            upstreamStatus: 304,
            isStored: fresh.refusal == nil && !fresh.isForOneClient,
            detail: fresh.refusal?.rawValue,
            age: reply.headers["Age"]
        )
        guard read.cacheRequest.carriesCredentials, fresh.isForOneClient else { return end(.reply(fetched), reply) }
        endSharing(.notShared)
        leader?.take(FlightOutcome.reply(fetched).with(cookiesOf: reply.headers))
    }

    private func noteStorability(_ fresh: FreshenedResponse) {
        switch fresh.refusal {
        case nil where !fresh.isForOneClient: server.reads.noteStorable(read)
        case nil: server.reads.noteUnstorable(read)
        case let refusal?: if refusal.isLasting { server.reads.noteUnstorable(read) }
        }
    }

    /// The upstream fails: what is stored may stand in, and else everybody who waits gets to see the error, which is stored
    /// if it says for how long.
    private func takeError(_ reply: ReplyHead, _ stream: UpstreamStream, isUnserved: Bool) async {
        var body = ByteBuffer()
        var isWhole = true
        do {
            for try await piece in stream.body {
                body.writeImmutableBuffer(piece)
                try checkDeadline()
                // An error that goes on and on is not worth reading; its head says enough.
                guard body.readableBytes <= Self.maxErrorBytes else { break }
            }
        } catch {
            isWhole = false
        }
        if !isWhole || body.readableBytes > Self.maxErrorBytes {
            isWhole = false
            body.clear()
        }
        var outcome = FetchedReply(
            response: .unstored(reply, body: body),
            upstreamStatus: reply.status,
            age: reply.headers["Age"]
        )
        if isWhole, let plan = try? storagePlan(reply) { outcome = keep(plan, reply, body) }
        outcome.failure = .init(isUnserved: isUnserved)
        if outcome.isStored || MemoryCache.isForAll(reply, to: read.cacheRequest, key: read.cacheKey) {
            return end(.reply(outcome), reply)
        }
        guard !read.cacheRequest.carriesCredentials else {
            // With other credentials there may be another answer: the others ask for their own.
            endSharing(.notShared)
            leader?.take(FlightOutcome.reply(outcome).with(cookiesOf: reply.headers))
            return
        }
        // It may speak of the one who asked: the others get to know no more than that it failed.
        var others = outcome
        var headers = HTTPHeaders()
        if let seconds = reply.headers.first(name: "Retry-After") { headers.add(name: "Retry-After", value: seconds) }
        let bare = ReplyHead(status: reply.status, headers: headers, times: reply.times)
        others.response = .unstored(bare, body: ByteBuffer())
        endSharing(.reply(others))
        leader?.take(FlightOutcome.reply(outcome).with(cookiesOf: reply.headers))
    }

    /// Stores a reply, and streams it meanwhile.
    private func store(_ plan: StoragePlan, _ reply: ReplyHead, _ stream: UpstreamStream) async {
        var body = ByteBuffer()
        var isStored = true
        let streamed = leader.flatMap { $0.wantsWhole ? nil : $0.writer }
        streamed?.begin(head(reply, stream, isStored: true, ttlSeconds: plan.freshness.lifetimeSeconds))
        do {
            for try await piece in stream.body {
                guard isStored else {
                    try await leader?.writer.write(piece)
                    continue
                }
                body.writeImmutableBuffer(piece)
                if let streamed { streamed.push(piece) } else { try checkDeadline() }
                guard body.readableBytes > plan.maxBodyBytes else { continue }
                // Longer than it is worth: from here on it is only streamed, to the one who began.
                isStored = false
                cache.note(unstored: reply, to: read.cacheRequest, key: read.cacheKey)
                server.reads.noteUnstorable(read)
                endSharing(.notShared)
                guard let leader else { return }
                if streamed == nil {
                    leader.writer.begin(head(reply, stream, isStored: false, detail: StoreRefusal.tooLarge.rawValue))
                    try await leader.writer.write(body)
                }
                body.clear()
            }
        } catch {
            return breakOff(error, hasBegun: streamed != nil || !isStored)
        }
        guard isStored else {
            leader?.writer.end()
            return
        }
        let fetched = keep(plan, reply, body)
        endSharing(.reply(fetched))
        if let streamed { streamed.end() } else { leader?.take(.reply(fetched).with(cookiesOf: reply.headers)) }
    }

    private func keep(_ plan: StoragePlan, _ reply: ReplyHead, _ body: ByteBuffer) -> FetchedReply {
        do throws(StoreRefusal) {
            if flight.isOvertaken { throw StoreRefusal.superseded }
            let response = try cache.store(plan, body: body) { response in
                guard read.subject.isAnswered(by: response) else { return .unexpected }
                return server.reads.overlay.admits(read.cacheKey, response) ? nil : .superseded
            }
            server.reads.flights.noteStored(flight, read.cacheKey)
            server.reads.noteStorable(read)
            return FetchedReply(
                response: response,
                upstreamStatus: reply.status,
                isStored: true,
                age: reply.headers["Age"]
            )
        } catch {
            let response = (try? plan.response(body: body)) ?? .unstored(reply, body: body)
            return FetchedReply(
                response: response,
                upstreamStatus: reply.status,
                detail: error.rawValue,
                age: reply.headers["Age"]
            )
        }
    }

    /// Hands a reply on that must not be stored: to the one who began, and to nobody else.
    private func passOn(_ reply: ReplyHead, _ stream: UpstreamStream, refusal: StoreRefusal) async {
        cache.note(unstored: reply, to: read.cacheRequest, key: read.cacheKey)
        // First, so that those who have waited and those who come now do not wait for each other.
        if refusal.isLasting { server.reads.noteUnstorable(read) }
        endSharing(.notShared)
        guard let leader else { return }
        var gathered = ByteBuffer()
        var isStreamed = !leader.wantsWhole
        do {
            if isStreamed { leader.writer.begin(head(reply, stream, isStored: false, detail: refusal.rawValue)) }
            for try await piece in stream.body {
                if isStreamed {
                    try await leader.writer.write(piece)
                    continue
                }
                gathered.writeImmutableBuffer(piece)
                try checkDeadline()
                guard gathered.readableBytes > cache.configuration.maxObjectBytes else { continue }
                isStreamed = true
                leader.writer.begin(head(reply, stream, isStored: false, detail: refusal.rawValue))
                try await leader.writer.write(gathered)
                gathered.clear()
            }
        } catch {
            return breakOff(error, hasBegun: isStreamed)
        }
        if isStreamed { return leader.writer.end() }
        leader.take(
            .reply(
                FetchedReply(
                    response: .unstored(reply, body: gathered),
                    upstreamStatus: reply.status,
                    detail: refusal.rawValue,
                    age: reply.headers["Age"]
                )
            ).with(cookiesOf: reply.headers)
        )
    }

    /// A body that dribbles never stands still for `upstream.request_timeout`, and who waits for all of it would wait for
    /// hours.
    private func checkDeadline() throws(UpstreamFailure) {
        if ContinuousClock.now > deadline { throw .tooSlow }
    }

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

    /// The reply broke off, or its client has gone.
    private func breakOff(_ error: any Error, hasBegun: Bool) {
        let failure = error as? UpstreamFailure
        if failure != nil { noteFailure() }
        endSharing(failure.map { .failed($0) } ?? .notShared)
        if hasBegun {
            leader?.writer.abort()
        } else if let failure {
            leader?.take(.failed(failure))
        }
    }

    /// The head for a client that gets the reply as it comes.
    private func head(
        _ reply: ReplyHead,
        _ stream: UpstreamStream,
        isStored: Bool,
        ttlSeconds: Int64? = nil,
        detail: String? = nil
    ) -> AnswerHead {
        var head = ForwardedReply.head(stream, method: .GET)
        var status = CacheStatus(forward: forward, ttlSeconds: ttlSeconds, detail: detail)
        status.forwardStatus = reply.status
        // Of a reply of unknown length nobody knows yet whether it fits.
        status.isStored = isStored && head.length != .unknown
        head.headers.append(("Cache-Status", status.fieldValue))
        if read.mayBeOverlaid, let pending = read.key?.pendingCount, pending > 0 {
            // It was too long to be looked through.
            head.headers.append((OverlayRendering.overlayField, "partial"))
        }
        return head
    }
}
