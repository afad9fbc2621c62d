package import NIOHTTP1

/// The head of a reply, final or interim.
package struct ReceivedHead: Sendable {
    /// How the end of a reply's body is known (RFC 9112 §6.3).
    package enum Framing: Sendable, Hashable {
        /// No body can follow: a reply to HEAD, 1xx, 204 or 304.
        case bodiless
        /// `Content-Length`: so many bytes.
        case contentLength(Int64)
        /// Chunks, the last of which says so.
        case chunked
        /// The end of the connection, which looks the same when the reply was cut short.
        case untilClose
    }

    /// The minor version of HTTP/1.
    package let minorVersion: Int
    /// The status code, 100 to 599.
    package let status: Int
    /// The fields in the order of their arrival, one scalar per byte, hop-by-hop fields included.
    package let headers: HTTPHeaders
    /// How the end of the body is known.
    package let framing: Framing
    /// Whether the connection may carry another exchange after this one (RFC 9112 §9.3).
    package let isPersistent: Bool
    /// The `timeout` of `Keep-Alive` in seconds, if the peer named one.
    package let keepAliveSeconds: Int64?
    /// Whether the reply is a 304 to a request without a condition, which means nothing to its sender.
    package internal(set) var isUnaskedNotModified = false

    /// Whether a final reply is still to come.
    package var isInterim: Bool { self.status < 200 }
}
