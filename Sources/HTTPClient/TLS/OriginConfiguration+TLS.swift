import NIOCore
import NIOSSL

extension OriginConfiguration {
    /// The name that a peer must prove to have; `nil` for an address, which is none (RFC 6066 §3).
    ///
    /// NIOSSL compares the certificate with the peer's address then.
    var serverName: String? {
        guard case .host(let host, _) = self.endpoint, (try? SocketAddress(ipAddress: host, port: 0)) == nil else {
            return nil
        }
        return host
    }

    /// A handler for one connection.
    func tlsHandler(_ context: NIOSSLContext) throws -> NIOSSLClientHandler {
        try NIOSSLClientHandler(context: context, serverHostname: self.serverName)
    }

    /// The target of CONNECT: host and port, always both (RFC 9112 §3.2.3).
    var tunnelTarget: String { self.place }
}
