import NIOCore
import NIOHTTP1
import Outbox
import ResponseCache
import Upstream

/// The upstream's side of a request that is passed through: sends it, and brings the reply to the client.
struct UpstreamExchange: Sendable {
    let server: ServerCore
    let method: HTTPMethod
    let read: PassThroughExchange.Read?
    let forwarded: ForwardedRequest
    let summary: RequestSummary
    let key: KnownKey?
    let hasPassedBarrier: Bool
    let inlet: BodyInlet?
    let writer: AnswerWriter

    /// Runs the exchange to its end, and gives the permit back as soon as something is learnt.
    func run(_ permit: Permit) async {
        let askedAt = server.reads.clock.milliseconds()
        let stream: UpstreamStream
        do throws(UpstreamFailure) {
            stream = try await server.client.open(
                forwarded.request,
                body: inlet.map(RequestBodyPieces.init),
                length: forwarded.length,
                interim: { [writer] in writer.interim(InterimAnswer(status: $0, headers: $1)) }
            )
        } catch {
            return fail(permit, error)
        }
        server.upstreamHealth.ended(permit, .answered(status: stream.status))
        await tellCache(stream, askedAt)
        server.noteReply(stream, to: forwarded.request.target, method: method, key: key)
        writer.begin(head(stream))
        do {
            for try await piece in stream.body { try await writer.write(piece) }
            // A task that was cancelled sees its sequence end as if it were complete.
            try Task.checkCancellation()
            writer.end()
        } catch {
            writer.abort()
        }
    }

    /// What the reply means for what is stored: it is put in doubt, dropped, or confirmed (RFC 9111 §4.3.5, §4.4).
    private func tellCache(_ stream: UpstreamStream, _ askedAt: Int64) async {
        let cache = server.reads.cache
        let target = forwarded.request.target
        if let key {
            await server.noteRefusal(stream, CacheKey(partition: CachePartition(key.fingerprint), target: target))
        }
        let origin = server.client.configuration.url.origin
        let changed = UnsafeReply.invalidatedTargets(
            method: method,
            target: target,
            status: stream.status,
            headers: stream.headers,
            origin: origin
        )
        for target in changed { cache.invalidate(target: target) }
        guard let read else { return }
        let reply = ReplyHead(
            status: stream.status,
            headers: stream.headers,
            times: server.reads.clock.times(askedAtMilliseconds: askedAt)
        )
        server.noteRateLimit(reply, of: key)
        let (request, cacheKey) = (read.request.cacheRequest, read.request.cacheKey)
        if method == .GET {
            cache.note(unstored: reply, to: request, key: cacheKey)
        } else if let token = read.token, !request.hasConditions {
            // A head that was asked for with conditions or ranges is not that of the whole reply.
            cache.note(head: reply, to: request, key: cacheKey, since: token)
        }
    }

    private func fail(_ permit: Permit, _ failure: UpstreamFailure) {
        guard !Task.isCancelled else {
            // The client has gone, and whatever the connection died of meanwhile, the upstream is not to blame.
            return server.upstreamHealth.ended(permit, .abandoned)
        }
        if failure.code == .timeout, inlet?.isStarved == true {
            // It is the client's body that did not come: nothing is learnt of the upstream.
            server.upstreamHealth.ended(permit, .abandoned)
            var reply = server.errors.bodyTimeout(for: summary)
            reply.mustClose = true
            return writer.answer(reply)
        }
        server.upstreamHealth.ended(permit, failure.signal, error: failure.description)
        var reply = server.errors.upstream(failure, unreachableStatus: read == nil ? 503 : 504, for: summary)
        if let read { reply.headers.append(read.unanswered(detail: failure.code.detail)) }
        writer.answer(reply)
    }

    private func head(_ stream: UpstreamStream) -> AnswerHead {
        var head = ForwardedReply.head(stream, method: method)
        if let pending = key?.pendingCount, pending > 0 {
            head.headers.append(("Contact-Relay-Pending", String(pending)))
        }
        if let read {
            var status = CacheStatus(forward: read.forward)
            status.forwardStatus = stream.status
            head.headers.append(("Cache-Status", status.fieldValue))
        }
        if hasPassedBarrier { head.headers.append(("Preference-Applied", "relay-barrier")) }
        return head
    }
}
