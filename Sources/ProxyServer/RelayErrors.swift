import DexatelAPI
import HTTPWire
import NIOCore
import NIOHTTP1
import Outbox

/// What a request was, as far as an error says it.
struct RequestSummary {
    var method: String
    var path: String

    init(_ head: RequestHead) {
        method = head.method.rawValue
        let query = head.target.utf8.firstIndex(of: UInt8(ascii: "?"))
        path = query.map { String(head.target[..<$0]) } ?? head.target
    }

    init(method: String, path: String) {
        self.method = method
        self.path = path
    }
}

/// Makes the errors that are the relay's own: in the upstream's shape, so that clients' error handling keeps working,
/// and with `Contact-Relay-Error: {slug}` (design §2.1).
struct RelayErrors: Sendable {
    let wallSeconds: @Sendable () -> Int64

    func reply(
        _ status: Int,
        _ slug: String,
        _ message: String,
        code: DexatelErrorCode? = nil,
        retryAfterSeconds: Int? = nil,
        for request: RequestSummary
    ) -> Reply {
        let body = DexatelErrorBody(
            timestamp: DexatelTimestamp.text(secondsSinceEpoch: wallSeconds()),
            path: request.path,
            method: request.method,
            status: status,
            message: message,
            code: code?.rawValue ?? 0
        )
        var headers = [("Content-Type", "application/json"), ("Contact-Relay-Error", slug)]
        if let retryAfterSeconds { headers.append(("Retry-After", String(retryAfterSeconds))) }
        return Reply(status: status, headers: headers, body: ByteBuffer(bytes: body.rendered()))
    }

    /// An error of a `/_relay/` endpoint, as problem details (RFC 9457).
    func problem(_ status: Int, _ slug: String, _ detail: String, headers: [(String, String)] = []) -> Reply {
        var text: [UInt8] = Array(#"{"type":"about:blank","title":"#.utf8)
        JSONText.appendQuoted(HTTPResponseStatus(statusCode: status).reasonPhrase, to: &text)
        text += Array(#","status":\#(status),"code":"#.utf8)
        JSONText.appendQuoted(slug, to: &text)
        text += Array(#","detail":"#.utf8)
        JSONText.appendQuoted(detail, to: &text)
        text.append(UInt8(ascii: "}"))
        return Reply(
            status: status,
            headers: [("Content-Type", "application/problem+json"), ("Contact-Relay-Error", slug)] + headers,
            body: ByteBuffer(bytes: text)
        )
    }

    /// The input is no request that can be served.
    func unreadable(_ fault: RequestFault) -> Reply {
        let request = RequestSummary(method: "", path: "")
        return switch fault {
        case .malformed:
            reply(400, "malformed_request", "The request is not valid HTTP/1.1", for: request)
        case .targetTooLong:
            reply(414, "target_too_long", "The request line is longer than listen.max_head", for: request)
        case .headTooLarge:
            reply(431, "head_too_large", "The request head is larger than listen.max_head", for: request)
        case .codingNotSupported:
            reply(501, "transfer_coding", "The relay knows no transfer coding but chunked", for: request)
        case .versionNotSupported:
            reply(505, "http_version", "The relay speaks HTTP/1.1", for: request)
        }
    }

    /// The head stopped coming, or came too slowly.
    func headTimeout() -> Reply {
        reply(
            408,
            "head_timeout",
            "The request's head did not come within listen.head_timeout",
            for: RequestSummary(method: "", path: "")
        )
    }

    /// The body stopped coming.
    func bodyTimeout(for request: RequestSummary = RequestSummary(method: "", path: "")) -> Reply {
        reply(408, "body_timeout", "The request's body did not come in time", for: request)
    }

    /// The outbox takes no write.
    func unavailable(_ reason: OutboxUnavailability, for request: RequestSummary) -> Reply {
        switch reason {
        case .queueFull:
            reply(503, "queue_full", "The outbox is full", retryAfterSeconds: 5, for: request)
        case .deadLimit:
            reply(
                503,
                "dead_limit",
                "Too many writes of this API key were refused after they were acknowledged; an operator has to see to them",
                retryAfterSeconds: 60,
                for: request
            )
        case .unverifiedKeyLimit:
            reply(
                503,
                "unverified_key_limit",
                "Too many writes are pending for keys that have never succeeded upstream",
                retryAfterSeconds: 5,
                for: request
            )
        case .keyLimit:
            reply(
                503,
                "key_limit",
                "Too many API keys that have never succeeded upstream were used lately",
                retryAfterSeconds: 5,
                for: request
            )
        case .diskLow:
            reply(503, "disk_low", "The relay's disk is almost full", retryAfterSeconds: 30, for: request)
        case .storageFailed:
            reply(
                503,
                "outbox_unavailable",
                "The outbox could not be written; whether this write is in it is not known",
                retryAfterSeconds: 2,
                for: request
            )
        case .stopping:
            reply(503, "stopping", "The relay is stopping", retryAfterSeconds: 1, for: request)
        }
    }
}
