import NIOCore

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#endif

/// Who is at the other end of a connection, as the kernel knows.
enum ConnectionPeer: Sendable, Equatable {
    /// Somebody who came by TCP.
    case network
    /// Somebody who came by a Unix socket: the user who connected, if the kernel says.
    case local(uid: UInt32?)

    /// Asks the kernel; on the channel's event loop, once for each connection.
    init(_ channel: any Channel) {
        guard case .unixDomainSocket = channel.localAddress else {
            // Where nobody knows, the stricter rules hold.
            self = .network
            return
        }
        var uid: UInt32?
        if let options = channel as? any SocketOptionProvider {
            let credentials: EventLoopFuture<Credentials> = options.unsafeGetSocketOption(
                level: .socket,
                name: NIOBSDSocket.Option(rawValue: SO_PEERCRED)
            )
            // On the loop the answer is there at once.
            credentials.assumeIsolated().whenSuccess { uid = $0.uid }
        }
        self = .local(uid: uid)
    }

    /// `struct ucred` of unix(7).
    private struct Credentials: Sendable {
        var pid: Int32 = 0
        var uid: UInt32 = 0
        var gid: UInt32 = 0
    }
}
