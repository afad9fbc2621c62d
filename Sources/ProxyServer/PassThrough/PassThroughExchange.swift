import DexatelAPI
import HTTPWire
import NIOCore
import NIOHTTP1
import Outbox
import ResponseCache
import Upstream

/// Serves a request by asking the upstream, streamed both ways (design §6).
///
/// The connection's event loop takes the client's side, and a task the upstream's: the body goes up through a
/// ``BodyInlet``, the reply comes down through an ``AnswerWriter``.
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
    private var outlet: AnswerOutlet?
    private var inlet: BodyInlet?
    private var task: Task<Void, Never>?
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

    private func forward() {
        if let contact, !head.method.isSafe, server.outbox.hasPending(contact) {
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
        let eventLoop = connection.eventLoopContext.eventLoop
        let forwarded = ForwardedRequest(head, caller)
        if forwarded.body == .none {
            // Its end is all that is left to come.
            connection.resumeInput(from: self)
        } else {
            let bound = NIOLoopBound(self, eventLoop: eventLoop)
            inlet = BodyInlet { eventLoop.execute { bound.value.takeBody() } }
        }
        let outlet = AnswerOutlet(connection, for: self)
        self.outlet = outlet
        let upstream = UpstreamExchange(
            server: server,
            method: head.method,
            read: read,
            forwarded: forwarded,
            summary: request,
            key: key,
            hasPassedBarrier: preference.relayBarrier && key != nil,
            inlet: inlet,
            writer: AnswerWriter(outlet, eventLoop: eventLoop)
        )
        task = Task { await upstream.run(permit) }
    }

    /// The upstream wants (more of) the body.
    private func takeBody() {
        guard outlet != nil else { return }
        connection.writeContinue()
        connection.resumeInput(from: self)
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

    // MARK: - The connection's news

    func receive(_ bytes: ByteBuffer) {
        if let inlet, !inlet.offer(bytes) { connection.pauseInput(from: self) }
    }

    func end() { inlet?.finish() }

    func resumeAnswer() { outlet?.resume() }

    /// The client has gone, or everything is said: what is still under way upstream is given up, which closes its
    /// connection.
    func cancel() {
        barrier.take()?.end()
        // First of all, so that a failure that the rest brings about is known to be our own.
        task?.cancel()
        task = nil
        outlet?.cancel()
        outlet = nil
        inlet?.fail()
        inlet = nil
    }
}

extension HTTPMethod {
    /// Whether the method only reads (RFC 9110 §9.2.1).
    var isSafe: Bool { self == .GET || self == .HEAD || self == .OPTIONS || self == .TRACE }
}
