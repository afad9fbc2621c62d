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
        let target = forwarded.request.target
        let meaning = server.meaning(status: stream.status, headers: stream.headers, to: target, asker, key)
        server.upstreamHealth.ended(permit, meaning.breaker)
        if let key, let refusal = server.note(meaning.key, of: key) {
            let cacheKey = CacheKey(partition: CachePartition(key.fingerprint), target: target)
            await server.reads.cache.noteRefusal(refusal, of: cacheKey)
        }
        note(meaning.cache, stream, askedAt)
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

    private var asker: ReplyMeaning.Asker {
        read == nil ? .forwarded(method) : .forwardedRead(isHead: method == .HEAD)
    }

    /// Carries out what the reply says of what is stored.
    private func note(_ news: ReplyMeaning.OfCache, _ stream: UpstreamStream, _ askedAt: Int64) {
        let cache = server.reads.cache
        if case .changes(let targets) = news { for target in targets { cache.invalidate(target: target) } }
        guard let read else { return }
        let reply = ReplyHead(
            status: stream.status,
            headers: stream.headers,
            times: server.reads.clock.times(askedAtMilliseconds: askedAt)
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

    private func fail(_ permit: Permit, _ failure: UpstreamFailure) {
        // Whatever the connection died of once the client had gone, the upstream is not to blame, and neither is it for a
        // client's body that did not come.
        let isClientGone = Task.isCancelled
        let isClientLate = failure.code == .timeout && inlet?.isStarved == true
        let isOwnDoing = isClientGone || isClientLate
        let meaning = ReplyMeaning(failure, to: asker, isOwnDoing: isOwnDoing)
        server.upstreamHealth.ended(permit, meaning.breaker, error: isOwnDoing ? nil : failure.description)
        if isClientGone { return }
        if isClientLate {
            var reply = server.errors.bodyTimeout(for: summary)
            reply.mustClose = true
            return writer.answer(reply)
        }
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
