package import DexatelAPI
package import HTTPClient
package import NIOCore
package import NIOHTTP1

/// A request for the upstream.
package struct UpstreamRequest: Sendable {
    /// The method, any token but `CONNECT`.
    package var method: String
    /// Path and query, sent byte for byte behind the configured base path.
    package var target: String
    /// The fields to send, hop-by-hop fields already taken out (``HeaderHygiene``); `Host`, framing and key are
    /// added.
    package var headers: HTTPHeaders
    /// The key to send as `X-Dexatel-Key`; none of that name in `headers` survives.
    package var apiKey: Secret?
    /// The whole body; a streamed one is passed beside the request.
    package var body: ByteBuffer?
    /// The class of traffic, whose share of the connections it takes.
    package var traffic: TrafficClass

    /// Gathers the parts of a request.
    package init(
        method: String,
        target: String,
        headers: HTTPHeaders = [:],
        apiKey: Secret? = nil,
        body: ByteBuffer? = nil,
        traffic: TrafficClass = .passThrough
    ) {
        self.method = method
        self.target = target
        self.headers = headers
        self.apiKey = apiKey
        self.body = body
        self.traffic = traffic
    }
}
