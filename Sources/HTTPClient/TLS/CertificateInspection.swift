import NIOCore
import NIOPosix
import NIOSSL
import Synchronization

/// Looks at the certificates of a peer that TLS has refused, and trusts it no more for that.
///
/// BoringSSL says that it does not trust a certificate, and not why. A second handshake, which is always broken off, shows
/// the certificate itself.
enum CertificateInspection {
    /// The peer's certificates; `nil` when it shows none in time.
    static func certificates(
        at address: SocketAddress,
        _ context: NIOSSLContext,
        serverName: String?,
        timeout: TimeAmount,
        on eventLoop: any EventLoop
    ) -> EventLoopFuture<PeerCertificates?> {
        let seen = Seen()
        return ClientBootstrap(group: eventLoop)
            .connectTimeout(timeout)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    let tls = try NIOSSLClientHandler(
                        context: context,
                        serverHostname: serverName,
                        customVerificationCallback: { chain, verdict in
                            seen.note(chain)
                            verdict.succeed(.failed)
                        }
                    )
                    let pipeline = channel.pipeline.syncOperations
                    try pipeline.addHandler(tls)
                    try pipeline.addHandler(Closing())
                }
            }
            .connect(to: address)
            .flatMap { channel in
                let alarm = eventLoop.scheduleTask(in: timeout) { channel.close(promise: nil) }
                return channel.closeFuture.map {
                    alarm.cancel()
                    return seen.certificates
                }
            }
            .recover { _ in nil }
    }

    private final class Seen: Sendable {
        private let noted = Mutex<PeerCertificates?>(nil)

        var certificates: PeerCertificates? { self.noted.withLock { $0 } }

        func note(_ chain: [NIOSSLCertificate]) {
            let certificates = PeerCertificates(chain)
            self.noted.withLock { $0 = certificates }
        }
    }

    private final class Closing: ChannelInboundHandler {
        typealias InboundIn = ByteBuffer

        func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }
    }
}
