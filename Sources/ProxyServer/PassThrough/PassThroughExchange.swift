import DexatelAPI
import HTTPClient
import HTTPWire
import NIOCore
import NIOHTTP1
import Outbox
import ResponseCache
import Upstream

/// Serves a request by asking the upstream, streamed both ways (design §6).
///
/// This is the client's side, on its connection's event loop; ``UpstreamExchange`` is the upstream's. Each piece of a body is
/// handed on as it comes, and either side stops reading while the other one takes no more.
final class PassThroughExchange: Exchange {
    /// A read that the cache does not answer, but learns from.
    struct Read: Sendable {
        let request: ReadRequest
        /// Why it goes to the upstream.
        let forward: CacheStatus.Forward
        /// From the cache's answer; nil for what the cache was not asked about.
        let token: FetchToken?

        /// The `Cache-Status` of an error in the place of the upstream's reply (RFC 9211).
        func unanswered(detail: String) -> (name: String, value: String) {
            ("Cache-Status", CacheStatus(forward: forward, detail: detail).fieldValue)
        }
    }

    private let head: RequestHead
    private let caller: Caller
    private let read: Read?
    private let contact: ContactReference?
    private let server: ServerCore
    private let connection: ConnectionHandler
    private let request: RequestSummary
    private let preference: Preference
    private var upstream: NIOLoopBound<UpstreamExchange>?
    private var window = UploadWindow()
    private var hasBody = false
    private var isReadingPaused = false
    /// Whether the client has gone, or everything is said.
    private var isOver = false
    private var barrier: Barrier?

    /// - Parameters:
    ///   - head: The request, its target in origin form.
    ///   - caller: Who asks.
    ///   - contact: The contact that the target names, if it names one.
    ///   - read: Given for GET and HEAD.
    init(
        _ head: RequestHead,
        _ caller: Caller,
        contact: ContactReference?,
        read: Read? = nil,
        server: ServerCore,
        connection: ConnectionHandler
    ) {
        self.head = head.detached
        self.caller = caller
        self.read = read
        self.contact = contact
        self.server = server
        self.connection = connection
        request = RequestSummary(head)
        preference = Preference(head.fields)
    }

    private var key: KnownKey? { caller.key }

    /// Forwards the request, at once or behind the key's pending writes.
    func begin() {
        connection.serve(with: self)
        // Nobody takes the body before the upstream does.
        connection.pauseInput(from: self)
        guard preference.relayBarrier, let key, key.pendingCount > 0 else { return forward() }
        let health = server.upstreamHealth.snapshot()
        if !health.isReachable, let wait = health.nextProbeMilliseconds {
            // What cannot be delivered now is not worth waiting for (P6).
            return answer(
                server.errors.upstreamUnreachable(
                    unreachableStatus,
                    retryAfterSeconds: max(1, Int(wait + 999) / 1000),
                    for: request
                )
            )
        }
        waitForDeliveries(of: key)
    }

    // MARK: - The barrier

    private struct Barrier {
        let key: KnownKey
        let observer: UInt64
        let timeout: Scheduled<Void>

        func end() {
            timeout.cancel()
            key.forgetObserver(observer)
        }
    }

    private func waitForDeliveries(of key: KnownKey) {
        let eventLoop = connection.eventLoopContext.eventLoop
        let bound = NIOLoopBound(self, eventLoop: eventLoop)
        let observer = key.whenNonePending {
            eventLoop.execute { bound.value.passBarrier() }
        }
        guard let observer else { return forward() }
        let most = server.configuration.maxReplyWaitMilliseconds
        let timeout = eventLoop.scheduleTask(
            in: .milliseconds(preference.replyWaitMilliseconds(default: most, max: most))
        ) { bound.value.giveUpAtBarrier() }
        barrier = Barrier(key: key, observer: observer, timeout: timeout)
    }

    private func passBarrier() {
        guard let barrier = barrier.take() else { return }
        barrier.end()
        forward()
    }

    private func giveUpAtBarrier() {
        guard let barrier = barrier.take() else { return }
        barrier.end()
        answer(
            server.errors.reply(
                503,
                "barrier_timeout",
                "The key's pending writes were not delivered in time (Prefer: relay-barrier)",
                retryAfterSeconds: 5,
                for: request
            ),
            detail: "barrier-timeout"
        )
    }

    // MARK: - Forwarding

    /// Forwards the request if it overtakes no pending write; memory knows most contacts that have none.
    private func forward() {
        guard let contact, !head.method.isSafe, server.outbox.mayHavePending(contact) else {
            return forward(overtakes: false)
        }
        let eventLoop = connection.eventLoopContext.eventLoop
        let bound = NIOLoopBound(self, eventLoop: eventLoop)
        server.outbox.lookForPending(contact) { overtakes in
            eventLoop.execute {
                if !bound.value.isOver { bound.value.forward(overtakes: overtakes) }
            }
        }
    }

    private func forward(overtakes: Bool) {
        if overtakes {
            return answer(
                server.errors.reply(
                    503,
                    "contact_has_pending_writes",
                    "Earlier writes to this contact are not delivered yet, and this request must not overtake them",
                    retryAfterSeconds: 2,
                    for: request
                )
            )
        }
        let origin = OriginKey("\(request.method) \(request.path)")
        switch server.upstreamHealth.mayStart(origin: origin, traffic: .passThrough) {
        case .go(let permit): start(permit)
        case .refused(let retryAt):
            answer(server.errors.upstreamUnreachable(unreachableStatus, retryAt: retryAt, for: request))
        case .saturated:
            answer(server.errors.upstreamUnreachable(unreachableStatus, retryAfterSeconds: 1, for: request))
        }
    }

    private func start(_ permit: Permit) {
        let forwarded = ForwardedRequest(head, caller)
        hasBody = forwarded.body != .none
        // Its end is all that is left to come.
        if !hasBody { connection.resumeInput(from: self) }
        let question = UpstreamExchange.Question(
            forwarded: forwarded,
            method: head.method,
            read: read,
            key: key,
            hasPassedBarrier: preference.relayBarrier && key != nil
        )
        let bound = NIOLoopBound(self, eventLoop: connection.eventLoopContext.eventLoop)
        UpstreamExchange.start(question, permit, server: server, client: bound)
    }

    /// 504 for reads, which a gateway answers (design §5.6); else 503, which says that the request was not taken.
    private var unreachableStatus: Int { read == nil ? 503 : 504 }

    /// Answers without the upstream.
    ///
    /// - Parameter detail: Why, for `Cache-Status`.
    private func answer(_ reply: Reply, detail: String = "upstream-unreachable") {
        var reply = reply
        if read != nil { reply.headers.append(("Cache-Status", CacheStatus.unserved(detail: detail).fieldValue)) }
        connection.answer(reply, from: self)
    }

    // MARK: - The upstream's news

    /// Takes the upstream's side.
    func began(_ upstream: NIOLoopBound<UpstreamExchange>) {
        if isOver { upstream.run { $0.cancel() } } else { self.upstream = upstream }
    }

    /// The upstream's connection has taken so much of the body, and wants more.
    func bodyTaken(_ bytes: Int) {
        window.taken(bytes)
        guard upstream != nil, window.isFlowing else { return }
        connection.writeContinue()
        connection.resumeInput(from: self)
    }

    /// Passes an interim reply on.
    func interim(_ answer: InterimAnswer) { connection.writeInterim(answer, from: self) }

    /// Begins the answer.
    func beginAnswer(_ head: AnswerHead) { connection.beginAnswer(head, from: self) }

    /// Passes a piece of the reply's body on.
    func write(_ bytes: ByteBuffer) {
        connection.write(bytes, from: self)
        guard !isOver, !isReadingPaused, !connection.isWritable else { return }
        isReadingPaused = true
        upstream?.run { $0.pauseReading() }
    }

    /// Ends the answer.
    func endAnswer() {
        discardBody()
        connection.endAnswer(from: self)
    }

    /// Takes the end of an exchange that brought no whole reply.
    ///
    /// - Parameter permit: Given where there was no reply at all, to be handed back.
    func failed(_ failure: UpstreamFailure, _ permit: Permit?) {
        guard let permit else {
            discardBody()
            return connection.abortAnswer(from: self)
        }
        // Whatever the connection died of once the client had gone, the upstream is not to blame, and neither is it for a
        // client's body that did not come.
        let isClientLate = failure.code == .timeout && hasBody && window.isStarved
        let isOwnDoing = isOver || isClientLate
        let asker =
            read == nil ? ReplyMeaning.Asker.forwarded(head.method) : .forwardedRead(isHead: head.method == .HEAD)
        let meaning = ReplyMeaning(failure, to: asker, isOwnDoing: isOwnDoing)
        server.upstreamHealth.ended(permit, meaning.breaker, error: isOwnDoing ? nil : failure.description)
        guard !isOver else { return }
        discardBody()
        if isClientLate {
            var reply = server.errors.bodyTimeout(for: request)
            reply.mustClose = true
            return connection.answer(reply, from: self)
        }
        var reply = server.errors.upstream(failure, unreachableStatus: unreachableStatus, for: request)
        if let read { reply.headers.append(read.unanswered(detail: failure.code.detail)) }
        connection.answer(reply, from: self)
    }

    /// Throws away what still comes of the body, so that the client gets on.
    private func discardBody() {
        upstream = nil
        if hasBody { connection.resumeInput(from: self) }
    }

    // MARK: - The connection's news

    func receive(_ bytes: ByteBuffer) {
        guard let upstream else { return }
        window.offered(bytes.readableBytes)
        upstream.run { $0.write(bytes) }
        if !window.isFlowing { connection.pauseInput(from: self) }
    }

    func end() {
        window.ended()
        if hasBody { upstream?.run { $0.finishBody() } }
    }

    func resumeAnswer() {
        guard isReadingPaused else { return }
        isReadingPaused = false
        upstream?.run { $0.resumeReading() }
    }

    /// The client has gone, or everything is said: what is still under way upstream is given up, which closes its
    /// connection.
    func cancel() {
        isOver = true
        barrier.take()?.end()
        upstream.take()?.run { $0.cancel() }
    }
}

extension HTTPMethod {
    /// Whether the method only reads (RFC 9110 §9.2.1).
    var isSafe: Bool { self == .GET || self == .HEAD || self == .OPTIONS || self == .TRACE }
}
