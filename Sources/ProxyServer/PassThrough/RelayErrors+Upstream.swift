import NIOHTTP1
import Upstream

extension UpstreamFailure.Code {
    /// For the `detail` of `Cache-Status`.
    var detail: String { rawValue.replacing("_", with: "-") }
}

/// What an app is told when the upstream cannot be reached or does not reply.
extension RelayErrors {
    /// An exchange with the upstream that brought no reply.
    ///
    /// - Parameter unreachableStatus: 504 for reads, which a gateway answers (design §5.6); else 503, which says that the
    ///   request was not taken.
    func upstream(
        _ failure: UpstreamFailure,
        unreachableStatus: Int = 503,
        for request: RequestSummary
    ) -> Reply {
        switch failure.code {
        case .unreachable:
            upstreamUnreachable(unreachableStatus, retryAfterSeconds: 1, for: request)
        case .timeout:
            reply(504, "upstream_timeout", "The upstream did not answer in time", for: request)
        case .connectionReset:
            reply(502, "upstream_broke_off", "The upstream closed the connection without a reply", for: request)
        case .malformedReply:
            reply(502, "upstream_not_http", "The upstream sent something other than HTTP", for: request)
        case .replyTooLarge:
            reply(502, "upstream_reply_too_large", "The upstream's reply is too large for the relay", for: request)
        case .noDescriptor:
            reply(
                503,
                "descriptors_exhausted",
                "The relay has no descriptor for a connection to the upstream",
                retryAfterSeconds: 1,
                for: request
            )
        case .saturated:
            reply(
                503,
                "upstream_saturated",
                "All connections to the upstream are busy",
                retryAfterSeconds: 1,
                for: request
            )
        case .invalidRequest:
            reply(400, "request_not_forwardable", "The request cannot be forwarded", for: request)
        case .cancelled:
            reply(400, "request_broke_off", "The request's body ended early", for: request)
        case .shutdown:
            reply(503, "stopping", "The relay is stopping", retryAfterSeconds: 1, for: request)
        }
    }

    /// The breaker is open and the upstream does not answer at all (design §4).
    func upstreamUnreachable(_ status: Int = 503, retryAfterSeconds: Int, for request: RequestSummary) -> Reply {
        reply(
            status,
            "upstream_unreachable",
            "The upstream cannot be reached",
            retryAfterSeconds: retryAfterSeconds,
            for: request
        )
    }

    /// The breaker refuses; the reply says when asking again may help.
    func upstreamUnreachable(
        _ status: Int = 503,
        retryAt: ContinuousClock.Instant,
        now: ContinuousClock.Instant = .now,
        for request: RequestSummary
    ) -> Reply {
        let (seconds, attoseconds) = now.duration(to: retryAt).components
        let roundedUp = Int(clamping: seconds) + (attoseconds > 0 ? 1 : 0)
        return upstreamUnreachable(status, retryAfterSeconds: max(1, roundedUp), for: request)
    }
}
