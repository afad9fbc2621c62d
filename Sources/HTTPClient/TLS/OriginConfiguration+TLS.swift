import NIOCore
import NIOSSL

extension OriginConfiguration {
    /// A handler for one connection, with the name that its peer must prove to have.
    func tlsHandler(_ context: NIOSSLContext) throws -> NIOSSLClientHandler {
        guard case .host(let host, _) = self.endpoint else {
            return try NIOSSLClientHandler(context: context, serverHostname: nil)
        }
        // An address is no server name (RFC 6066 §3); NIOSSL compares the certificate with the peer's address then.
        let isAddress = (try? SocketAddress(ipAddress: host, port: 0)) != nil
        return try NIOSSLClientHandler(context: context, serverHostname: isAddress ? nil : host)
    }

    /// The target of CONNECT: host and port, always both (RFC 9112 §3.2.3).
    var tunnelTarget: String { self.place }
}
