import DexatelAPI
import HTTPClient
import HTTPWire
import NIOCore
import NIOHTTP1
import Outbox
import ResponseCache
import Upstream

/// An app's request as the upstream is to get it (RFC 9110 §7.6): everybody who forwards begins here.
struct ForwardedRequest: Sendable {
    /// How long the request's body is.
    enum Body: Sendable, Equatable {
        /// There is none.
        case none
        /// So many bytes.
        case known(Int64)
        /// It comes in chunks.
        case unknown
    }

    let request: UpstreamRequest
    let body: Body

    /// Takes over a request whose target is in origin form (``ForwardedTarget``).
    ///
    /// - Parameter dropsAuthorization: Whether `Authorization` was for the relay.
    init(_ head: RequestHead, apiKey: Secret?, dropsAuthorization: Bool = false) {
        var headers = HeaderHygiene.forwardedRequest(head.headers, version: head.isHTTP10 ? .http1_0 : .http1_1)
        if let hops = head.maxForwards {
            headers.replaceOrAdd(name: "Max-Forwards", value: String(max(0, hops - 1)))
        }
        if dropsAuthorization { headers.remove(name: "Authorization") }
        request = UpstreamRequest(
            method: head.method.rawValue,
            target: head.target,
            headers: headers,
            apiKey: apiKey
        )
        body =
            switch head.body {
            case .known(0): .none
            case .known(let bytes): .known(Int64(bytes))
            case .chunked: .unknown
            }
    }

    /// Takes over somebody's request.
    init(_ head: RequestHead, _ caller: Caller) {
        self.init(head, apiKey: caller.key?.secret, dropsAuthorization: caller.takesAuthorization)
    }

    /// The body in the HTTP client's terms.
    var outboundBody: OutboundRequest.Body {
        switch body {
        case .none: .none
        case .known(let bytes): .pieces(length: bytes)
        case .unknown: .pieces(length: nil)
        }
    }
}

extension RequestHead {
    /// How often an OPTIONS request may still be forwarded (RFC 9110 §7.6.2); nil where nothing is said of that.
    var maxForwards: Int? {
        guard case .OPTIONS = method, fields.has(.maxForwards), !fields.hasSeveral(.maxForwards),
            let text = fields.first(.maxForwards), !text.isEmpty, text.utf8.allSatisfy({ $0 >= 0x30 && $0 <= 0x39 })
        else { return nil }
        // More than a number holds is more than anybody counts.
        return Int(text) ?? .max
    }
}

/// The upstream's reply as the app is to get it.
enum ForwardedReply {
    /// Its head, without what belongs to the upstream's connection, and with the way that its body's end is known.
    static func head(_ status: Int, _ headers: HTTPHeaders, method: HTTPMethod) -> AnswerHead {
        head(status, HeaderHygiene.forwardedReply(headers), length(status, headers, method))
    }

    /// The same of a reply whose fields name the relay in `Via` already.
    static func head(_ reply: ReplyHead, method: HTTPMethod) -> AnswerHead {
        var headers = reply.headers
        HeaderHygiene.removeHopByHop(&headers)
        return head(reply.status, headers, length(reply.status, reply.headers, method))
    }

    private static func head(_ status: Int, _ fields: HTTPHeaders, _ length: AnswerHead.BodyLength) -> AnswerHead {
        let kept = fields.filter { !$0.name.isASCII("content-length") }
        return AnswerHead(status: status, headers: kept.map { (name: $0.name, value: $0.value) }, length: length)
    }

    /// How the end of a reply's body is known, by its fields as they came.
    static func length(_ status: Int, _ headers: HTTPHeaders, _ method: HTTPMethod) -> AnswerHead.BodyLength {
        let isBodiless = method == .HEAD || !Reply.mayHaveBody(status)
        if !headers.contains(name: "Transfer-Encoding"),
            let bytes = headers.first(name: "Content-Length").flatMap({ Int($0) }), bytes >= 0
        {
            return .known(bytes)
        }
        return isBodiless ? .none : .unknown
    }
}
