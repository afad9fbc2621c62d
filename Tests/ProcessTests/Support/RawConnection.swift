import Dispatch
import Glibc
import TestSupport

/// A TCP connection for what no good client would send; its blocking calls have a queue of their own.
final class RawConnection: Sendable {
    private let descriptor: CInt
    private let queue = DispatchQueue(label: "raw connection")

    init(port: Int) throws {
        descriptor = try loopbackConnection(port: port)
    }

    deinit { close(descriptor) }

    /// Sends all bytes, or as many as the other side takes before it closes.
    func send(_ text: String) async {
        await onQueue { [descriptor] in
            let bytes = Array(text.utf8)
            var sent = 0
            while sent < bytes.count {
                let count = bytes.withUnsafeBytes {
                    Glibc.send(descriptor, $0.baseAddress?.advanced(by: sent), $0.count - sent, CInt(MSG_NOSIGNAL))
                }
                guard count > 0 else { return }
                sent += count
            }
        }
    }

    /// Says that nothing more will be sent.
    func finishSending() {
        shutdown(descriptor, CInt(SHUT_WR))
    }

    /// Reads until `isEnough`, or to the end.
    func receive(until isEnough: @escaping @Sendable (String) -> Bool = { _ in false }) async -> String {
        await onQueue { [descriptor] in
            var received: [UInt8] = []
            while true {
                let text = String(decoding: received, as: UTF8.self)
                if isEnough(text) { return text }
                var piece = [UInt8](repeating: 0, count: 65_536)
                let count = recv(descriptor, &piece, piece.count, 0)
                guard count > 0 else { return text }
                received += piece.prefix(count)
            }
        }
    }

    private func onQueue<Value: Sendable>(_ work: @escaping @Sendable () -> Value) async -> Value {
        await withCheckedContinuation { continuation in
            queue.async { continuation.resume(returning: work()) }
        }
    }
}

/// A blocking TCP connection to a port of this host.
func loopbackConnection(port: Int) throws -> CInt {
    let descriptor = socket(AF_INET, CInt(SOCK_STREAM.rawValue), 0)
    // A reply that never comes fails the test instead of hanging it.
    var patience = timeval(tv_sec: 30, tv_usec: 0)
    setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &patience, socklen_t(MemoryLayout<timeval>.size))
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_port = UInt16(port).bigEndian
    address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
    let result = withUnsafeBytes(of: &address) { bytes in
        connect(
            descriptor,
            bytes.baseAddress?.assumingMemoryBound(to: sockaddr.self),
            socklen_t(MemoryLayout<sockaddr_in>.size)
        )
    }
    guard result == 0 else {
        let number = errno
        close(descriptor)
        throw DeadlinePassed(description: "no connection to port \(port): errno \(number)")
    }
    return descriptor
}
