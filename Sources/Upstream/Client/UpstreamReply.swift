import HTTPClient
package import NIOCore
package import NIOHTTP1

/// A whole reply: its end was seen, and it has as many bytes as it said.
package struct UpstreamReply: Sendable {
    /// How the end of the body was known.
    package enum Framing: Sendable, Hashable {
        /// No body can follow: a reply to HEAD, 204 or 304.
        case bodiless
        /// `Content-Length`, and that many bytes came.
        case contentLength
        /// Chunks, the last of which came.
        case chunked
        /// The connection was closed, which nobody can tell from a reply that was cut short.
        case untilClose
    }

    /// The status code.
    package let status: Int
    /// The fields as they came, hop-by-hop fields included.
    package let headers: HTTPHeaders
    /// The body as it came: nothing is decompressed.
    package let body: ByteBuffer
    /// How the end of the body was known.
    package let framing: Framing
    /// Whether it is a 304 to a request without a condition, which is no answer to it.
    package let isUnaskedNotModified: Bool

    /// Whether the reply is certain to be whole (design §3.3: a delivery needs a correctly framed body).
    package var isCompletelyFramed: Bool { self.framing != .untilClose }

    init(_ reply: WholeReply) {
        self.status = reply.head.status
        self.headers = reply.head.headers
        self.body = reply.body
        self.isUnaskedNotModified = reply.head.isUnaskedNotModified
        self.framing =
            switch reply.head.framing {
            case .bodiless: .bodiless
            case .contentLength: .contentLength
            case .chunked: .chunked
            case .untilClose: .untilClose
            }
    }
}
