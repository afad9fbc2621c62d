import Glibc

/// A blocking TCP connection that shows exactly which bytes come and how the stream ends.
final class RawConnection {
    enum Ending: Equatable {
        case closed
        case reset
        /// Nothing more came within the bound that keeps a failing test from hanging.
        case stillOpen
    }

    private let descriptor: CInt

    init(port: Int, patienceMilliseconds: Int = 10_000) throws(Failure) {
        descriptor = socket(AF_INET, CInt(SOCK_STREAM.rawValue), 0)
        var patience = timeval(
            tv_sec: patienceMilliseconds / 1000,
            tv_usec: patienceMilliseconds % 1000 * 1000
        )
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
        guard result == 0 else { throw Failure(number: errno) }
    }

    deinit {
        close(descriptor)
    }

    struct Failure: Error, Equatable {
        let number: CInt
    }

    func send(_ text: String) {
        let bytes = Array(text.utf8)
        _ = Glibc.send(descriptor, bytes, bytes.count, CInt(MSG_NOSIGNAL))
    }

    /// Reads until `isEnough`, or to the end.
    func receive(until isEnough: (String) -> Bool = { _ in false }) -> (text: String, ending: Ending) {
        var received: [UInt8] = []
        while true {
            let text = String(decoding: received, as: UTF8.self)
            if isEnough(text) { return (text, .stillOpen) }
            var piece = [UInt8](repeating: 0, count: 65_536)
            let count = recv(descriptor, &piece, piece.count, 0)
            if count == 0 { return (text, .closed) }
            if count < 0 { return (text, errno == ECONNRESET ? .reset : .stillOpen) }
            received += piece.prefix(count)
        }
    }
}
