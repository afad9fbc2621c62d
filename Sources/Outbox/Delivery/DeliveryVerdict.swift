import DexatelAPI
import NIOCore

/// What an attempt means for its write (design §3.3).
enum DeliveryVerdict: Sendable, Equatable {
    /// The upstream has taken it.
    case delivered
    /// To be sent again later.
    case retry(Retry)
    /// The key is refused: its writes are held, and one of them is tried again now and then.
    case holdKey
    /// The key may not do this: this write alone is held.
    case holdWrite
    /// The upstream has refused it, for good.
    case refused

    /// Why, and how soon again at the earliest.
    struct Retry: Sendable, Equatable {
        /// What went wrong, as receipts show it.
        var reason: String
        /// The upstream's own `Retry-After`.
        var retryAfterMilliseconds: Int64? = nil
        /// 429: the upstream is tired of the key, not of the write.
        var pausesKey = false
        /// 503 with `Retry-After`: perhaps the whole upstream wants to be left alone.
        var pausesUpstream = false
        /// Nobody knows whether it took effect.
        var isAmbiguous = false
        /// A 404 without the upstream's error shape, as a proxy or a deployment answers.
        var isForeignNotFound = false
        /// A reply that is not the API's own; until `writes.foreign_reply_grace` is over, if it refuses the write.
        var isForeign = false
        /// There is no reason to wait.
        var isAtOnce = false
        /// The upstream was not there; when it is back there is no reason to wait any longer.
        var endsWithOutage = false
    }

    var retry: Retry? { if case .retry(let retry) = self { retry } else { nil } }

    /// What a refusal of the key means when another one has taken its place meanwhile; nil when it is something else.
    var withoutKey: Retry? {
        switch self {
        case .holdKey: Retry(reason: "status 401 with a key that has been replaced", isAtOnce: true)
        case .holdWrite: Retry(reason: "status 403 with a key that has been replaced", isAtOnce: true)
        case .retry(let retry) where retry.pausesKey:
            Retry(reason: "status 429 with a key that has been replaced", isAtOnce: true)
        case .delivered, .refused, .retry: nil
        }
    }

    /// The circumstances of an attempt that decide what its outcome means.
    struct Circumstances: Sendable, Equatable {
        var method: WriteMethod
        /// The sender has been told 202, or nobody knows what it was told, or the write was sent before.
        var isAcknowledgedOrRetried: Bool
        /// `writes.not_found_grace` has passed since the first foreign 404.
        var isNotFoundGraceOver: Bool
        /// `writes.foreign_reply_grace` has passed since the first foreign refusal.
        var isForeignGraceOver = false
    }

    static func judge(_ outcome: DeliveryOutcome, _ circumstances: Circumstances) -> DeliveryVerdict {
        switch outcome {
        case .failure(let failure):
            return .retry(
                Retry(
                    reason: failure.message,
                    isAmbiguous: failure.isAmbiguous,
                    isAtOnce: failure.isStaleConnection,
                    endsWithOutage: true
                )
            )
        case .reply(let reply):
            return judge(reply, circumstances)
        }
    }

    private static func judge(_ reply: DeliveryReply, _ circumstances: Circumstances) -> DeliveryVerdict {
        if reply.isForeign {
            guard reply.status < 400 || !circumstances.isForeignGraceOver else { return .refused }
            return .retry(
                Retry(
                    reason: reply.foreignReason,
                    // Whoever sent a page with a 2xx, the upstream may have got the write.
                    isAmbiguous: (200..<300).contains(reply.status),
                    isForeign: true,
                    endsWithOutage: true
                )
            )
        }
        switch reply.status {
        case 200..<300:
            return .delivered
        case 401:
            return .holdKey
        case 403:
            return .holdWrite
        case 404, 410:
            return notFound(reply, circumstances)
        // A status of 600 or more is no status: to be treated as a 5xx (RFC 9110 §15).
        case 408, 425, 429, 500, 502...:
            return .retry(
                Retry(
                    reason: "status \(reply.status)",
                    retryAfterMilliseconds: reply.retryAfterMilliseconds,
                    pausesKey: reply.status == 429,
                    pausesUpstream: reply.status == 503 && reply.retryAfterMilliseconds != nil,
                    endsWithOutage: reply.saysUpstreamIsAway && reply.retryAfterMilliseconds == nil
                )
            )
        default:
            return .refused
        }
    }

    private static func notFound(_ reply: DeliveryReply, _ circumstances: Circumstances) -> DeliveryVerdict {
        guard reply.saysContactIsGone || circumstances.isNotFoundGraceOver else {
            return .retry(Retry(reason: "status 404 without the upstream's error body", isForeignNotFound: true))
        }
        // What a DELETE is for has come about; a retried one may have brought it about itself.
        if circumstances.method == .delete, circumstances.isAcknowledgedOrRetried { return .delivered }
        return .refused
    }
}

extension DeliveryReply {
    /// Whether its body is an error in the API's shape.
    private var isErrorOfAPI: Bool { body.withUnsafeReadableBytes(DexatelErrorBody.firstCode) != nil }

    /// Whether something else than the API has answered, a proxy or a firewall: a 2xx that confirms nothing, an interim
    /// status or a redirect, and a final refusal without the API's error body.
    ///
    /// A 404 has rules of its own, and 408, 425, 429 and 5xx are retried whoever says them.
    package var isForeign: Bool {
        switch status {
        case 200..<300: !isConfirmation
        case ..<400: true
        case 404, 408, 425, 429: false
        case 400..<500, 501: !isErrorOfAPI
        default: false
        }
    }

    /// Whether the same write would be answered the same again: the API itself has taken it or refused what it says, and not the
    /// key (401, 403), the moment (408, 425, 429) or anything at all (5xx).
    var isFinal: Bool {
        switch status {
        case 200..<300: isConfirmation
        case 401, 403, 408, 425, 429: false
        case 400..<500: isErrorOfAPI
        default: false
        }
    }

    /// What is wrong with it, as receipts show it.
    var foreignReason: String {
        switch status {
        case 200..<300: "unexpected_reply: \(status) with a body that is not a JSON object"
        case ..<400: "unexpected_reply: \(status)"
        default: "unexpected_reply: \(status) without the API's error body"
        }
    }

    /// Whether the upstream, or what stands before it, says that it is not there.
    var saysUpstreamIsAway: Bool { (502...504).contains(status) || (520...530).contains(status) }

    /// Whether it is the upstream itself that knows no such contact (any more).
    var saysContactIsGone: Bool {
        switch status {
        case 404:
            body.withUnsafeReadableBytes(DexatelErrorBody.firstCode) == DexatelErrorCode.contactNotFound.rawValue
        case 410: isErrorOfAPI
        default: false
        }
    }
}
