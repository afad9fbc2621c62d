import HTTPClient
import NIOCore
import NIOHTTP1
import Outbox
import ResponseCache
import Upstream

/// The upstream's side of a request that is passed through: sends it, and brings the reply to the client.
///
/// It lives on the event loop of the connection to the upstream; if the client is connected there, too, nothing crosses
/// threads.
final class UpstreamExchange: ExchangeDelegate {
    /// What is asked, and for whom.
    struct Question: Sendable {
        let forwarded: ForwardedRequest
        let method: HTTPMethod
        let read: PassThroughExchange.Read?
        let key: KnownKey?
        let hasPassedBarrier: Bool

        var asker: ReplyMeaning.Asker {
            read == nil ? .forwarded(method) : .forwardedRead(isHead: method == .HEAD)
        }
    }

    /// What has come of a reply while the refusal of the key that it brings is being noted on disk.
    private struct Held {
        let head: AnswerHead
        var pieces: [ByteBuffer] = []
        var end: Result<Void, UpstreamFailure>?
    }

    private let question: Question
    private let server: ServerCore
    private let line: UpstreamLine
    private let client: NIOLoopBound<PassThroughExchange>
    private let askedAtMilliseconds: Int64
    private var permit: Permit?
    private var exchange: HTTPClient.Exchange?
    private var held: Held?
    /// Why the exchange was given up.
    private var fault: UpstreamFailure?
    /// Bytes of the request's body that were written while the connection had no room for more.
    private var untakenBytes = 0

    private init(
        _ question: Question,
        _ permit: Permit,
        _ server: ServerCore,
        _ line: UpstreamLine,
        _ client: NIOLoopBound<PassThroughExchange>
    ) {
        self.question = question
        self.permit = permit
        self.server = server
        self.line = line
        self.client = client
        askedAtMilliseconds = server.reads.clock.milliseconds()
    }

    /// Begins an exchange, at once if the client's event loop has a pool of connections.
    ///
    /// The client's side is given the exchange before it hears anything else of it.
    static func start(
        _ question: Question,
        _ permit: Permit,
        server: ServerCore,
        client: NIOLoopBound<PassThroughExchange>
    ) {
        let line = server.client.line(nearest: client.eventLoop)
        line.eventLoop.run { UpstreamExchange(question, permit, server, line, client).begin() }
    }

    private func begin() {
        let bound = NIOLoopBound(self, eventLoop: line.eventLoop)
        client.run { $0.began(bound) }
        let (request, body) = (question.forwarded.request, question.forwarded.outboundBody)
        do throws(UpstreamFailure) {
            try line.begin(request, body: body, delegate: self) { exchange = $0 }
        } catch {
            failed(error)
        }
    }

    // MARK: - The client's news

    /// Sends a piece of the request's body.
    func write(_ bytes: ByteBuffer) {
        guard let exchange else { return }
        exchange.write(bytes)
        untakenBytes += bytes.readableBytes
        if exchange.isWritable { writable() }
    }

    /// Ends the request's body.
    func finishBody() { exchange?.finishBody() }

    /// Reads no more of the reply for now.
    func pauseReading() { exchange?.pauseReading() }

    /// Reads on.
    func resumeReading() { if held == nil { exchange?.resumeReading() } }

    /// Gives the exchange up, as nobody waits for it any more.
    func cancel() { exchange?.cancel() }

    // MARK: - The exchange's news

    func writable() {
        let bytes = untakenBytes
        untakenBytes = 0
        client.run { $0.bodyTaken(bytes) }
    }

    func interim(_ head: ReceivedHead) {
        let answer = InterimAnswer(status: head.status, headers: head.headers)
        client.run { $0.interim(answer) }
    }

    func head(_ head: ReceivedHead) {
        guard !head.isUnaskedNotModified else {
            fault = .unaskedNotModified
            return cancel()
        }
        let (target, key) = (question.forwarded.request.target, question.key)
        let meaning = server.meaning(status: head.status, headers: head.headers, to: target, question.asker, key)
        if let permit = permit.take() { server.upstreamHealth.ended(permit, meaning.breaker) }
        let refusal = key.flatMap { server.note(meaning.key, of: $0) }
        note(meaning.cache, head)
        let answer = answerHead(head)
        guard let key, let refusal else { return client.run { $0.beginAnswer(answer) } }
        held = Held(head: answer)
        exchange?.pauseReading()
        let bound = NIOLoopBound(self, eventLoop: line.eventLoop)
        Task { [cache = server.reads.cache] in
            await cache.noteRefusal(refusal, of: CacheKey(partition: CachePartition(key.fingerprint), target: target))
            bound.run { $0.refusalIsNoted() }
        }
    }

    /// Shows the client what has come meanwhile.
    private func refusalIsNoted() {
        guard let held = held.take() else { return }
        client.run { client in
            client.beginAnswer(held.head)
            for piece in held.pieces { client.write(piece) }
        }
        switch held.end {
        case nil: exchange?.resumeReading()
        case .success: client.run { $0.endAnswer() }
        case .failure(let failure): client.run { $0.failed(failure, nil) }
        }
    }

    func body(_ bytes: ByteBuffer) {
        if held == nil { client.run { $0.write(bytes) } } else { held?.pieces.append(bytes) }
    }

    func ended(trailers: HTTPHeaders?) {
        exchange = nil
        if held == nil { client.run { $0.endAnswer() } } else { held?.end = .success(()) }
    }

    func failed(_ failure: ExchangeFailure) { failed(fault ?? UpstreamFailure(failure)) }

    private func failed(_ failure: UpstreamFailure) {
        exchange = nil
        let permit = permit.take()
        if held == nil { client.run { $0.failed(failure, permit) } } else { held?.end = .failure(failure) }
    }

    // MARK: - What the reply says

    /// Carries out what the reply says of what is stored.
    private func note(_ news: ReplyMeaning.OfCache, _ head: ReceivedHead) {
        let cache = server.reads.cache
        if case .changes(let targets) = news { for target in targets { cache.invalidate(target: target) } }
        guard let read = question.read else { return }
        let reply = ReplyHead(
            status: head.status,
            headers: head.headers,
            times: server.reads.clock.times(askedAtMilliseconds: askedAtMilliseconds)
        )
        let (request, cacheKey) = (read.request.cacheRequest, read.request.cacheKey)
        switch news {
        case .outdates: cache.note(unstored: reply, to: request, key: cacheKey)
        case .describes:
            // A head that was asked for with conditions or ranges is not that of the whole reply.
            guard let token = read.token, !request.hasConditions else { return }
            cache.note(head: reply, to: request, key: cacheKey, since: token)
        case .nothing, .changes, .confirms, .fails, .replaces: break
        }
    }

    private func answerHead(_ received: ReceivedHead) -> AnswerHead {
        var head = ForwardedReply.head(received.status, received.headers, method: question.method)
        if let pending = question.key?.pendingCount, pending > 0 {
            head.headers.append(("Contact-Relay-Pending", String(pending)))
        }
        if let read = question.read {
            var status = CacheStatus(forward: read.forward)
            status.forwardStatus = received.status
            head.headers.append(("Cache-Status", status.fieldValue))
        }
        if question.hasPassedBarrier { head.headers.append(("Preference-Applied", "relay-barrier")) }
        return head
    }
}
