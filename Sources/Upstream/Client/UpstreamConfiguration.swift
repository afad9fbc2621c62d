package import HTTPClient
import NIOCore

/// How to reach the upstream, and the bounds of every wait and buffer on the way (P8).
package struct UpstreamConfiguration: Sendable, Hashable {
    /// Where it is (`upstream.url`).
    package var url: UpstreamURL
    /// How long making a connection may take, name resolution and TLS included (`upstream.connect_timeout`).
    package var connectTimeout: Duration = .seconds(2)
    /// How long a whole exchange may take, and how long a streamed one may stand still (`upstream.request_timeout`).
    package var requestTimeout: Duration = .seconds(10)
    /// Connections at a time, and so requests at a time (`upstream.max_connections`).
    package var maxConnections = 64
    /// Deliveries at a time at most, however fast the upstream is (`upstream.max_concurrent_writes`).
    package var maxConcurrentWrites = 40
    /// Requests of each class of traffic that may wait for a connection; one more is refused at once.
    package var maxWaitingRequests = 1024
    /// The largest reply that ``UpstreamClient/send(_:maxReplyBytes:)`` takes into memory, unless a call says
    /// otherwise.
    package var maxReplyBytes = 4 << 20
    /// How long a connection rests in the pool (`upstream.keep_alive`).
    ///
    /// A little less than the keep-alive of the least patient common servers (5 s): a request on a connection that the
    /// server is just closing fails with an unknown outcome.
    package var keepAlive: Duration = .seconds(4)
    /// The age beyond which a connection is not used again, so that changes of DNS are followed
    /// (`upstream.max_connection_age`).
    package var maxConnectionAge: Duration = .seconds(300)
    /// Certificates of authorities in PEM, to trust instead of the system's (the contents of `upstream.ca_file`).
    package var authorities: [UInt8]?
    /// The proxy that connections to an `https` upstream go through (`upstream.proxy`).
    package var proxy: OriginConfiguration.Proxy?

    /// Takes the address, and the design's defaults for the rest.
    package init(url: UpstreamURL) {
        self.url = url
    }

    /// The same in the terms of the HTTP client, with TLS contexts of their own.
    var origin: OriginConfiguration {
        var origin = OriginConfiguration(
            endpoint: .host(self.url.host, port: self.url.port),
            authority: self.url.authority
        )
        if self.url.isSecure {
            origin.tls = TLSContexts(authorities: self.authorities)
            origin.proxy = self.proxy
        }
        origin.connectTimeout = .nanoseconds(self.connectTimeout.wholeNanoseconds)
        origin.requestTimeout = .nanoseconds(self.requestTimeout.wholeNanoseconds)
        origin.maxConnections = self.maxConnections
        origin.maxWaiting = self.maxWaitingRequests
        origin.keepAlive = .nanoseconds(self.keepAlive.wholeNanoseconds)
        origin.maxAge = .nanoseconds(self.maxConnectionAge.wholeNanoseconds)
        return origin
    }
}
