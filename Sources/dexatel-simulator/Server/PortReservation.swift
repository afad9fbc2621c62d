import Glibc
import NIOCore

/// Keeps a TCP port for the simulator while nothing listens on it: a bound socket that does not listen has connects
/// refused, and neither other servers nor the kernel's own choice of ports for clients get the port meanwhile.
final class PortReservation: Sendable {
    let address: SocketAddress
    private let descriptor: CInt

    /// Binds the address; port 0 lets the kernel choose.
    init(_ wanted: SocketAddress) throws {
        let family = wanted.protocol == .inet6 ? AF_INET6 : AF_INET
        let descriptor = socket(family, CInt(SOCK_STREAM.rawValue) | CInt(SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { throw IOError(errnoCode: errno, reason: "socket") }
        do {
            var yes: CInt = 1
            let size = socklen_t(MemoryLayout<CInt>.size)
            guard setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &yes, size) == 0 else {
                throw IOError(errnoCode: errno, reason: "setsockopt")
            }
            guard wanted.withSockAddr({ bind(descriptor, $0, socklen_t($1)) }) == 0 else {
                throw IOError(errnoCode: errno, reason: "bind \(wanted)")
            }
            var resolved = wanted
            resolved.port = try Self.port(of: descriptor)
            (address, self.descriptor) = (resolved, descriptor)
        } catch {
            close(descriptor)
            throw error
        }
    }

    deinit {
        close(descriptor)
    }

    var port: Int { address.port ?? 0 }

    private static func port(of descriptor: CInt) throws -> Int {
        var storage = sockaddr_storage()
        var size = socklen_t(MemoryLayout<sockaddr_storage>.size)
        let result = withUnsafeMutableBytes(of: &storage) { bytes in
            getsockname(descriptor, bytes.baseAddress?.assumingMemoryBound(to: sockaddr.self), &size)
        }
        guard result == 0 else { throw IOError(errnoCode: errno, reason: "getsockname") }
        // IPv4 and IPv6 addresses have the port in the same place, in network order.
        return withUnsafeBytes(of: storage) { bytes in
            Int(UInt16(bigEndian: bytes.load(fromByteOffset: MemoryLayout<sa_family_t>.size, as: UInt16.self)))
        }
    }
}
