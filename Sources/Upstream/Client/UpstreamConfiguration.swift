/// How to reach the upstream, and the bounds of every wait and buffer on the way (P8).
package struct UpstreamConfiguration: Sendable, Hashable {
    /// Where it is (`upstream.url`).
    package var url: UpstreamURL
    /// How long making a connection may take, name resolution and TLS included (`upstream.connect_timeout`).
    package var connectTimeout: Duration = .seconds(2)
    /// How long a whole exchange may take, and how long a streamed one may stand still (`upstream.request_timeout`).
    package var requestTimeout: Duration = .seconds(10)
    /// Connections at a time, and so requests at a time (`upstream.max_connections`).
    package var maxConnections = 32
    /// Deliveries at a time once slow start is over (`upstream.max_concurrent_writes`).
    package var maxConcurrentWrites = 8
    /// Requests that may wait for a connection; one more is refused at once.
    package var maxWaitingRequests = 1024
    /// The largest reply that ``UpstreamClient/send(_:maxReplyBytes:)`` takes into memory, unless a call says
    /// otherwise.
    package var maxReplyBytes = 4 << 20
    /// Certificates to trust instead of the system's, in PEM (`upstream.ca_file`).
    package var caFile: String?

    /// Takes the address, and the design's defaults for the rest.
    package init(url: UpstreamURL) {
        self.url = url
    }
}
