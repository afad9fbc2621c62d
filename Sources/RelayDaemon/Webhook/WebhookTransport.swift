import NIOCore
import NIOHTTP1
import Outbox
import Upstream

/// Sends one event to the webhook and says what became of it.
struct WebhookTransport {
    /// What waits for a receiver at most: it is an operator's own, and nobody waits for it.
    static let timeout: Duration = .seconds(10)
    /// The longest reply that is read; what it says is of no interest.
    private static let maxReplyBytes = 64 << 10

    private let client: UpstreamClient
    private let target: String

    init(_ url: WebhookURL, group: any EventLoopGroup) {
        var configuration = UpstreamConfiguration(url: url.origin)
        configuration.connectTimeout = .seconds(5)
        configuration.requestTimeout = Self.timeout
        configuration.maxConnections = 1
        configuration.maxReplyBytes = Self.maxReplyBytes
        client = UpstreamClient(configuration: configuration, eventLoopGroup: group)
        target = url.target
    }

    /// Redirects are not followed: the event goes where the operator has said, or nowhere.
    func send(_ dead: DeadWrite) async -> WebhookPace.Outcome {
        guard let body = try? DeadWriteEvent(dead).rendered() else { return .failed("the event cannot be written") }
        let event = UpstreamRequest(
            method: "POST",
            target: target,
            headers: [
                "Content-Type": "application/json",
                "Idempotency-Key": "\"\(dead.deathID)\"",
                "User-Agent": "contact-relay/\(RelayVersion.text)",
            ],
            body: ByteBuffer(bytes: body)
        )
        switch await client.send(event) {
        case .success(let reply) where (200..<300).contains(reply.status): return .told
        case .success(let reply):
            let retryAfter = reply.headers.first(name: "Retry-After").flatMap {
                RetryAfter.parse($0, replyDate: reply.headers.first(name: "Date"))
            }
            return .failed("status \(reply.status)", retryAfterMilliseconds: retryAfter?.wholeMilliseconds)
        case .failure(let failure): return .failed(failure.description)
        }
    }

    func shutdown() async { await client.shutdown() }
}
