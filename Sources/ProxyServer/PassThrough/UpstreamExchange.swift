import NIOCore
import NIOHTTP1
import Outbox
import Upstream

/// The upstream's side of a request that is passed through: sends it, and brings the reply to the client.
struct UpstreamExchange: Sendable {
    let server: ServerCore
    let method: HTTPMethod
    let forwarded: ForwardedRequest
    let summary: RequestSummary
    let key: KnownKey?
    let hasPassedBarrier: Bool
    let inlet: BodyInlet?
    let writer: AnswerWriter

    /// Runs the exchange to its end, and gives the permit back as soon as something is learnt.
    func run(_ permit: Permit) async {
        let stream: UpstreamStream
        do throws(UpstreamFailure) {
            stream = try await server.client.open(
                forwarded.request,
                body: inlet.map(RequestBodyPieces.init),
                length: forwarded.length
            )
        } catch {
            return fail(permit, error)
        }
        server.upstreamHealth.ended(permit, .answered(status: stream.status))
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
        writer.answer(server.errors.upstream(failure, for: summary))
    }

    private func head(_ stream: UpstreamStream) -> AnswerHead {
        var head = ForwardedReply.head(stream, method: method)
        if let pending = key?.pendingCount, pending > 0 {
            head.headers.append(("Contact-Relay-Pending", String(pending)))
        }
        if hasPassedBarrier { head.headers.append(("Preference-Applied", "relay-barrier")) }
        return head
    }
}
