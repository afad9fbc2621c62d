import DexatelAPI
import HTTPClient
import NIOCore
import NIOHTTP1
import Outbox
import ProxyServer
import ResponseCache
import Upstream

/// Joins the delivery engine to the upstream client and its breaker.
struct UpstreamDelivery: DeliveryTransport {
    let client: UpstreamClient
    let health: UpstreamHealth
    let cache: MemoryCache

    var isHealthy: Bool { health.snapshot().isBelievedHealthy }

    func admit(_ contact: ContactReference) -> DeliveryAdmission {
        switch health.mayStart(origin: Self.origin(contact), traffic: .delivery) {
        case .go(let permit): .go(DeliveryPermit(permit))
        case .saturated: .saturated
        case .refused(let retryAt): .wait(milliseconds: (retryAt - .now).wholeMilliseconds + 1)
        }
    }

    func send(_ delivery: Delivery, permit: DeliveryPermit) async -> DeliveryOutcome {
        var headers = delivery.payload.headers
        HeaderHygiene.addRequestVia(&headers)
        headers.replaceOrAdd(name: "Accept-Encoding", value: "identity")
        let request = UpstreamRequest(
            method: delivery.method.name,
            target: delivery.payload.target,
            headers: headers,
            apiKey: delivery.apiKey,
            body: delivery.payload.body,
            traffic: .delivery
        )
        switch await client.send(request) {
        case .success(let received):
            let reply = reply(received)
            let meaning = ReplyMeaning(
                status: reply.status,
                headers: received.headers,
                to: ReplyMeaning.Question(
                    .delivery(isForeign: reply.isForeign),
                    target: delivery.contact.path,
                    hasKey: true
                ),
                nowUnixSeconds: WallClock.unixSeconds()
            )
            end(permit, meaning)
            if case .refused(let refusal) = meaning.key {
                let key = CacheKey(partition: CachePartition(delivery.key), target: delivery.contact.path)
                await cache.noteRefusal(refusal, of: key)
            }
            return .reply(reply)
        case .failure(let failure):
            let meaning = ReplyMeaning(failure, to: .delivery(isForeign: false))
            end(permit, meaning, error: failure.description)
            return .failure(
                DeliveryFailure(
                    message: failure.description,
                    isAmbiguous: failure.mayHaveTakenEffect,
                    isStaleConnection: failure.isStaleConnection
                )
            )
        }
    }

    private func end(_ permit: DeliveryPermit, _ meaning: ReplyMeaning, error: String? = nil) {
        health.ended(Self.permit(permit), meaning.breaker, error: error)
    }

    func release(_ permit: DeliveryPermit) { health.ended(Self.permit(permit), .abandoned) }

    private static func permit(_ permit: DeliveryPermit) -> Permit {
        guard let permit = permit.value as? Permit else { preconditionFailure("the engine returns what it was given") }
        return permit
    }

    static func origin(_ contact: ContactReference) -> OriginKey {
        var hasher = Hasher()
        hasher.combine(contact)
        return OriginKey(hash: UInt64(bitPattern: Int64(hasher.finalize())))
    }

    private func reply(_ reply: UpstreamReply) -> DeliveryReply {
        let retryAfter = reply.headers.first(name: "Retry-After").flatMap {
            RetryAfter.parse($0, replyDate: reply.headers.first(name: "Date"))
        }
        var (headers, body) = (HeaderHygiene.forwardedReply(reply.headers), reply.body)
        if let plain = decoded(reply) {
            headers.remove(name: "Content-Encoding")
            headers.replaceOrAdd(name: "Content-Length", value: String(plain.readableBytes))
            body = plain
        }
        return DeliveryReply(
            status: reply.status,
            headers: headers,
            body: body,
            retryAfterMilliseconds: retryAfter?.wholeMilliseconds,
            isCompletelyFramed: reply.isCompletelyFramed
        )
    }

    /// The body of a reply that was compressed though `identity` was asked for; nil where there is nothing to undo.
    private func decoded(_ reply: UpstreamReply) -> ByteBuffer? {
        let codings = reply.headers[canonicalForm: "Content-Encoding"].map { $0.lowercased() }.filter {
            $0 != "identity"
        }
        guard codings == ["gzip"] || codings == ["x-gzip"] else { return nil }
        return GzipBody.decoded(Array(reply.body.readableBytesView), maxBytes: client.configuration.maxReplyBytes)
            .map(ByteBuffer.init(bytes:))
    }
}
