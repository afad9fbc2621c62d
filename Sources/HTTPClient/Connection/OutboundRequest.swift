package import NIOCore
package import NIOHTTP1

/// The classes of traffic, each with its share of the connections.
package enum TrafficClass: Int, Sendable, CaseIterable {
    /// Deliveries from the outbox.
    case delivery
    /// Reads that a client waits for.
    case read
    /// Revalidations behind the scenes.
    case confirmation
    /// Everything that is passed through.
    case passThrough
}

/// A request to send.
package struct OutboundRequest: Sendable {
    /// The body.
    package enum Body: Sendable {
        /// None.
        case none
        /// All of it.
        case whole(ByteBuffer)
        /// Pieces that are to follow, so many bytes in all, or in chunks when the length is not known.
        case pieces(length: Int64?)
    }

    /// The method, any token but `CONNECT`.
    package var method: String
    /// Path and query, sent byte for byte.
    package var target: String
    /// The fields to send; `Host`, `Connection` and the framing are the client's own.
    package var headers: HTTPHeaders
    /// The body.
    package var body: Body
    /// The class of traffic.
    package var traffic: TrafficClass

    /// Gathers the parts of a request.
    package init(
        method: String,
        target: String,
        headers: HTTPHeaders = [:],
        body: Body = .none,
        traffic: TrafficClass = .passThrough
    ) {
        self.method = method
        self.target = target
        self.headers = headers
        self.body = body
        self.traffic = traffic
    }
}
