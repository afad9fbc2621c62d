import DexatelAPI
import HTTPWire
import NIOCore
import NIOHTTP1

/// A complete reply that the relay writes in one piece.
struct Reply: Sendable {
    var status: Int
    var headers: [(name: String, value: String)]
    var body: ByteBuffer?
    /// Whether the connection must end with this reply: its request cannot be read to the end.
    var mustClose = false

    init(status: Int, headers: [(name: String, value: String)] = [], body: ByteBuffer? = nil) {
        self.status = status
        self.headers = headers
        self.body = body
    }

    /// Writes the reply as HTTP/1.1, straight into a buffer (RFC 9112 §4).
    ///
    /// - Parameters:
    ///   - date: The `Date` field's value, unless the reply has one.
    ///   - isHead: Leave the body out, but keep its length (RFC 9110 §9.3.2).
    ///   - connection: The `Connection` field's value, if one is needed.
    func write(to buffer: inout ByteBuffer, date: String, isHead: Bool, connection: String?) {
        let bodyBytes = body?.readableBytes ?? 0
        buffer.reserveCapacity(minimumWritableBytes: 256 + bodyBytes)
        Self.writeStatusLine(status, to: &buffer)
        var hasDate = false
        for (name, value) in headers {
            if name.isASCII("date") { hasDate = true }
            buffer.writeField(name, value)
        }
        if !hasDate { buffer.writeField("Date", date) }
        if Self.mayHaveBody(status) { buffer.writeField("Content-Length", String(bodyBytes)) }
        if let connection { buffer.writeField("Connection", connection) }
        buffer.writeStaticString("\r\n")
        if !isHead, Self.mayHaveBody(status), let body { buffer.writeImmutableBuffer(body) }
    }

    static func writeStatusLine(_ status: Int, to buffer: inout ByteBuffer) {
        buffer.writeStaticString("HTTP/1.1 ")
        buffer.writeString(String(status))
        buffer.writeStaticString(" ")
        buffer.writeString(HTTPResponseStatus(statusCode: status).reasonPhrase)
        buffer.writeStaticString("\r\n")
    }

    /// 1xx, 204 and 304 have no body, and 204 no length either (RFC 9110 §8.6).
    static func mayHaveBody(_ status: Int) -> Bool { status >= 200 && status != 204 && status != 304 }
}
