import NIOCore
import NIOPosix
import NIOSSL

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#endif

/// What errors of the system, of NIO and of TLS are called in messages for operators.
enum FailureText {
    /// System errors in the system's words; everything else by its kind, as descriptions may quote what was sent, and
    /// those of TLS name files of the build.
    static func reason(_ error: any Error) -> String {
        switch error {
        case let error as IOError: String(cString: strerror(error.errnoCode))
        case ChannelError.connectTimeout: "no answer in time"
        case ChannelError.eof: "closed by the peer"
        case NIOSSLError.uncleanShutdown: "closed without the end of TLS"
        case is ChannelError: "closed"
        case let error as NIOSSLError: "TLS failed (\(Self.name(error)))"
        case is NIOSSLExtraError, is BoringSSLError: "TLS failed"
        default: "\(type(of: error))"
        }
    }

    private static func name(_ error: NIOSSLError) -> String {
        switch error {
        case .handshakeFailed: "handshake"
        case .shutdownFailed: "shutdown"
        default: "\(error)"
        }
    }
}
