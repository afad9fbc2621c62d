import HTTPWire
import NIOCore
import NIOHTTP1
import Upstream

/// An interim reply of the upstream (102, 103), as the app is to get it.
struct InterimAnswer: Sendable {
    private let status: Int
    private let headers: HTTPHeaders

    /// Takes over what does not belong to the upstream's connection.
    init(status: Int, headers: HTTPHeaders) {
        var headers = headers
        HeaderHygiene.removeHopByHop(&headers)
        headers.remove(name: "Content-Length")
        self.status = status
        self.headers = headers
    }

    /// Writes it as HTTP/1.1.
    func write(to buffer: inout ByteBuffer) {
        Reply.writeStatusLine(status, to: &buffer)
        for (name, value) in headers { buffer.writeField(name, value) }
        buffer.writeStaticString("\r\n")
    }
}
