import NIOCore
import NIOPosix
import NIOSSL
import Synchronization

/// Makes the TLS context of an origin, once, when the first connection needs it.
///
/// Reading the authorities of the system takes milliseconds, which no event loop has.
package final class TLSContexts: Sendable {
    /// Certificates of authorities in PEM, to trust instead of the system's.
    private let authorities: [UInt8]?
    private let made = Mutex<NIOSSLContext?>(nil)

    /// Makes contexts that trust these authorities, or the system's.
    ///
    /// - Parameter authorities: Certificates in PEM.
    package init(authorities: [UInt8]? = nil) {
        self.authorities = authorities
    }

    /// The settings of every connection: TLS 1.2 at least, HTTP/1.1 and nothing else.
    ///
    /// NIOSSL keeps no sessions of clients, so that each connection makes a whole handshake.
    private func configuration() throws -> TLSConfiguration {
        var configuration = TLSConfiguration.makeClientConfiguration()
        configuration.minimumTLSVersion = .tlsv12
        configuration.applicationProtocols = ["http/1.1"]
        if let authorities {
            let certificates = (try? NIOSSLCertificate.fromPEMBytes(authorities)) ?? []
            guard !certificates.isEmpty else { throw TLSFault("the file of authorities holds no certificate") }
            configuration.trustRoots = .certificates(certificates)
        }
        return configuration
    }

    /// The context, made on another thread if it is the first time.
    func context(on eventLoop: any EventLoop) -> EventLoopFuture<NIOSSLContext> {
        if let context = self.made.withLock({ $0 }) { return eventLoop.makeSucceededFuture(context) }
        return NIOThreadPool.singleton.runIfActive(eventLoop: eventLoop) {
            let context = try NIOSSLContext(configuration: self.configuration())
            return self.made.withLock { made in
                if let made { return made }
                made = context
                return context
            }
        }
    }
}
