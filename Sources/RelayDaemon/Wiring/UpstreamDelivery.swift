import DexatelAPI
import HTTPClient
import NIOCore
import NIOHTTP1
import Outbox
import ProxyServer
import ResponseCache
import Upstream

/// Joins the delivery engine to the upstream client and its breaker: a delivery begins and ends on the event loop of its
/// connection.
final class UpstreamDelivery: DeliveryTransport {
    private let client: UpstreamClient
    private let health: UpstreamHealth
    private let cache: MemoryCache
    private let ends: TurnBatches<(receiver: any DeliveryReceiver, end: DeliveryEnd)>

    /// - Parameter group: The client's event loops.
    init(client: UpstreamClient, health: UpstreamHealth, cache: MemoryCache, group: any EventLoopGroup) {
        (self.client, self.health, self.cache) = (client, health, cache)
        ends = TurnBatches(group) { Self.tell($0) }
    }

    var isHealthy: Bool { health.snapshot().isBelievedHealthy }

    func admit(_ contact: ContactReference) -> DeliveryAdmission {
        switch health.mayStart(origin: Self.origin(contact), traffic: .delivery) {
        case .go(let permit): .go(DeliveryPermit(permit))
        case .saturated: .saturated
        case .refused(let retryAt): .wait(milliseconds: (retryAt - .now).wholeMilliseconds + 1)
        }
    }

    func begin(_ deliveries: [Delivery], for receiver: any DeliveryReceiver) {
        client.divide(deliveries.count) { line, part in
            for delivery in deliveries[part] { self.begin(delivery, on: line, for: receiver) }
        }
    }

    private func begin(_ delivery: Delivery, on line: UpstreamLine, for receiver: any DeliveryReceiver) {
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
        line.send(request) { result in
            let (outcome, refusal) = self.take(result, of: delivery)
            let end = DeliveryEnd(sequence: delivery.sequence, outcome: outcome)
            guard let refusal else { return self.ends.add((receiver, end), on: line.eventLoop) }
            // What the key may not see any more is gone, on disk too, before anybody learns that it may not.
            let key = CacheKey(partition: CachePartition(delivery.key), target: delivery.contact.path)
            Task {
                await self.cache.noteRefusal(refusal, of: key)
                receiver.ended([end])
            }
        }
    }

    /// Tells each receiver what has ended, all at once.
    private static func tell(_ ends: [(receiver: any DeliveryReceiver, end: DeliveryEnd)]) {
        var rest = ends[...]
        while let receiver = rest.first?.receiver {
            let end = rest.firstIndex { $0.receiver !== receiver } ?? rest.endIndex
            receiver.ended(rest[..<end].map(\.end))
            rest = rest[end...]
        }
    }

    /// Tells the breaker, and says what the reply means for the delivery and its key.
    private func take(
        _ result: Result<UpstreamReply, UpstreamFailure>,
        of delivery: Delivery
    ) -> (DeliveryOutcome, KeyRefusal?) {
        switch result {
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
            end(delivery.permit, meaning)
            if case .refused(let refusal) = meaning.key { return (.reply(reply), refusal) }
            return (.reply(reply), nil)
        case .failure(let failure):
            end(
                delivery.permit,
                ReplyMeaning(failure, to: .delivery(isForeign: false)),
                error: failure.description
            )
            let outcome = DeliveryFailure(
                message: failure.description,
                isAmbiguous: failure.mayHaveTakenEffect,
                isStaleConnection: failure.isStaleConnection
            )
            return (.failure(outcome), nil)
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
        var (headers, body) = (reply.headers, reply.body)
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
        guard reply.headers.contains(name: "Content-Encoding") else { return nil }
        let codings = reply.headers[canonicalForm: "Content-Encoding"].map { $0.lowercased() }.filter {
            $0 != "identity"
        }
        guard codings == ["gzip"] || codings == ["x-gzip"] else { return nil }
        return GzipBody.decoded(Array(reply.body.readableBytesView), maxBytes: client.configuration.maxReplyBytes)
            .map(ByteBuffer.init(bytes:))
    }
}
