package import NIOCore

/// An origin and how it is reached, with the bounds of every wait and buffer on the way (P8).
package struct OriginConfiguration: Sendable {
    /// Where the origin's connections go.
    package enum Endpoint: Sendable, Hashable {
        /// A name or address, without brackets, and a port.
        case host(String, port: Int)
        /// A Unix socket.
        case unixSocket(path: String)
    }

    /// A proxy that makes tunnels (RFC 9110 §9.3.6).
    package struct Proxy: Sendable, Hashable {
        /// The proxy's name or address, without brackets.
        package var host: String
        /// The proxy's port.
        package var port: Int
        /// The value of `Proxy-Authorization`, if the proxy wants one.
        package var authorization: String?

        /// Names a proxy.
        package init(host: String, port: Int, authorization: String? = nil) {
            self.host = host
            self.port = port
            self.authorization = authorization
        }
    }

    /// Where the origin is.
    package var endpoint: Endpoint
    /// The value of `Host`.
    package var authority: String
    /// What connections are secured with; `nil` for plain HTTP.
    package var tls: TLSContexts?
    /// The proxy through which the origin is reached.
    package var proxy: Proxy?
    /// How long making a connection may take, name resolution, proxy and TLS included.
    package var connectTimeout: TimeAmount = .seconds(2)
    /// How long a whole exchange may take, and how long a streamed one may stand still.
    package var requestTimeout: TimeAmount = .seconds(10)
    /// Connections at a time, and so requests at a time.
    package var maxConnections = 32
    /// Requests of each class that may wait for a place; one more is refused at once.
    package var maxWaiting = 1024
    /// How long a connection may rest between two exchanges.
    package var keepAlive: TimeAmount = .seconds(4)
    /// The age beyond which a connection is not used again.
    package var maxAge: TimeAmount = .minutes(5)
    /// The bounds of replies' heads and framing.
    package var limits = ReplyLimits()

    /// Names an origin.
    package init(endpoint: Endpoint, authority: String) {
        self.endpoint = endpoint
        self.authority = authority
    }

    /// The origin as error messages name it.
    var place: String {
        switch self.endpoint {
        case .host(let host, let port): host.utf8.contains(UInt8(ascii: ":")) ? "[\(host)]:\(port)" : "\(host):\(port)"
        case .unixSocket(let path): path
        }
    }
}
