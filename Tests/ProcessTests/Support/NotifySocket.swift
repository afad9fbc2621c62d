import Glibc
import Testing

/// A stand-in for the service manager: a datagram socket that collects what a daemon tells it.
final class NotifySocket {
    private let descriptor: CInt
    private var lines: [String] = []
    let path: String

    init(in sandbox: Sandbox) throws {
        path = sandbox.folder + "/notify"
        descriptor = socket(AF_UNIX, CInt(SOCK_DGRAM.rawValue) | CInt(SOCK_NONBLOCK.rawValue), 0)
        try #require(descriptor >= 0)
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8) }
        let bound = withUnsafeBytes(of: &address) { bytes in
            bind(
                descriptor,
                bytes.baseAddress?.assumingMemoryBound(to: sockaddr.self),
                socklen_t(MemoryLayout<sockaddr_un>.size)
            )
        }
        try #require(bound == 0)
    }

    deinit { close(descriptor) }

    /// All lines of all messages so far.
    func received() -> [String] {
        var buffer = [UInt8](repeating: 0, count: 4096)
        while true {
            let count = recv(descriptor, &buffer, buffer.count, 0)
            guard count >= 0 else {
                let number = errno
                if number != EAGAIN { Issue.record("recv: \(String(cString: strerror(number)))") }
                return lines
            }
            lines += String(decoding: buffer.prefix(count), as: UTF8.self).split(separator: "\n").map(String.init)
        }
    }
}
