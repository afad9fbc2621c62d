import Glibc
import ProxyServer

/// Sorts the sockets that the service manager has passed, and refuses what the relay cannot listen at.
///
/// A socket that is not served would let its clients connect and then wait for ever: it is better not to start.
struct PassedSockets {
    /// What `FileDescriptorName=` may be; whether a socket is TCP or Unix is its own affair.
    static let names = ["http", "http-unix"]

    /// The sockets for apps.
    private(set) var listeners = PassedListeners()

    /// - Parameter allowsRemote: `listen.allow_remote`.
    init(_ descriptors: [(name: String, fd: CInt)], allowsRemote: Bool) throws(PassedSocketError) {
        for (name, fd) in descriptors {
            guard Self.names.contains(name) else {
                throw PassedSocketError(
                    "systemd passes a socket that is called \"\(name)\"; set FileDescriptorName=http in its socket unit"
                )
            }
            guard Self.option(SO_ACCEPTCONN, of: fd) == 1, Self.option(SO_TYPE, of: fd) == Int(SOCK_STREAM.rawValue)
            else {
                throw PassedSocketError(
                    "the socket \"\(name)\" (descriptor \(fd)) does not listen for streams; set ListenStream= and "
                        + "Accept=no in its socket unit"
                )
            }
            switch Self.reach(of: fd) {
            case .unix: listeners.unix.append(fd)
            case .loopback: listeners.tcp.append(fd)
            case .remote where allowsRemote: listeners.tcp.append(fd)
            case .remote:
                throw PassedSocketError(
                    "other hosts can reach the socket \"\(name)\" that systemd passes; that needs "
                        + "listen.allow_remote: true, or another ListenStream= in its socket unit"
                )
            case .other:
                throw PassedSocketError(
                    "the socket \"\(name)\" (descriptor \(fd)) is neither TCP nor Unix; see ListenStream= in its "
                        + "socket unit"
                )
            }
        }
    }

    private enum Reach { case unix, loopback, remote, other }

    private static func reach(of descriptor: CInt) -> Reach {
        var storage = sockaddr_storage()
        return withUnsafeMutablePointer(to: &storage) { pointer in
            var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
            let got = pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { getsockname(descriptor, $0, &length) }
            guard got == 0 else { return .other }
            switch CInt(pointer.pointee.ss_family) {
            case AF_UNIX: return .unix
            case AF_INET:
                return pointer.withMemoryRebound(to: sockaddr_in.self, capacity: 1) { address in
                    UInt32(bigEndian: address.pointee.sin_addr.s_addr) >> 24 == 127 ? .loopback : .remote
                }
            case AF_INET6:
                return pointer.withMemoryRebound(to: sockaddr_in6.self, capacity: 1) { address in
                    withUnsafeBytes(of: address.pointee.sin6_addr) { bytes in
                        bytes.dropLast().allSatisfy { $0 == 0 } && bytes.last == 1 ? .loopback : .remote
                    }
                }
            default: return .other
            }
        }
    }

    private static func option(_ option: CInt, of descriptor: CInt) -> Int? {
        var value: CInt = 0
        var length = socklen_t(MemoryLayout<CInt>.size)
        guard getsockopt(descriptor, SOL_SOCKET, option, &value, &length) == 0 else { return nil }
        return Int(value)
    }
}

/// The service manager passes sockets that the relay cannot serve (exit 78).
package struct PassedSocketError: Error, Sendable, Equatable, CustomStringConvertible {
    /// What is wrong and what to do, for an operator.
    package let description: String

    init(_ description: String) { self.description = description }
}
