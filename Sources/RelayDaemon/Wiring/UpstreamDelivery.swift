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
        let request = UpstreamRequest(
            method: delivery.method.name,
            target: delivery.payload.target,
            headers: headers,
            apiKey: delivery.apiKey,
            body: delivery.payload.body,
            traffic: .delivery
        )
        let result = await client.send(request)
        end(permit, result)
        if case .success(let reply) = result {
            let partition = CachePartition(delivery.key)
            await cache.noteRefusal(status: reply.status, CacheKey(partition: partition, target: delivery.contact.path))
        }
        switch result {
        case .success(let reply) where reply.isCompletelyFramed || !(200..<300).contains(reply.status):
            return .reply(Self.reply(reply))
        case .success(let reply):
            // A body that ends with its connection may have been cut short: not a confirmation (§3.3).
            let message = "unexpected_reply: \(reply.status) without a length"
            return .failure(DeliveryFailure(message: message, isAmbiguous: true))
        case .failure(let failure):
            return .failure(
                DeliveryFailure(
                    message: failure.description,
                    isAmbiguous: failure.mayHaveTakenEffect,
                    isStaleConnection: failure.isStaleConnection
                )
            )
        }
    }

    private func end(_ permit: DeliveryPermit, _ result: Result<UpstreamReply, UpstreamFailure>) {
        guard let permit = permit.value as? Permit else { preconditionFailure("the engine returns what it was given") }
        switch result {
        case .success: health.ended(permit, result.signal)
        case .failure(let failure): health.ended(permit, failure.signal, error: failure.description)
        }
    }

    func release(_ permit: DeliveryPermit) {
        guard let permit = permit.value as? Permit else { preconditionFailure("the engine returns what it was given") }
        health.ended(permit, .abandoned)
    }

    static func origin(_ contact: ContactReference) -> OriginKey {
        var hasher = Hasher()
        hasher.combine(contact)
        return OriginKey(hash: UInt64(bitPattern: Int64(hasher.finalize())))
    }

    private static func reply(_ reply: UpstreamReply) -> DeliveryReply {
        let retryAfter = reply.headers.first(name: "Retry-After").flatMap {
            RetryAfter.parse($0, replyDate: reply.headers.first(name: "Date"))
        }
        return DeliveryReply(
            status: reply.status,
            headers: HeaderHygiene.forwardedReply(reply.headers),
            body: reply.body,
            retryAfterMilliseconds: retryAfter?.wholeMilliseconds
        )
    }
}
