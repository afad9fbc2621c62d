import DexatelAPI
import HTTPWire
import NIOCore

/// The head of an answer whose body comes in pieces.
struct AnswerHead: Sendable {
    /// How the client knows where the body ends (RFC 9112 §6).
    enum BodyLength: Sendable, Equatable {
        /// There is no body and nothing is said of its length: 204 and 304, and replies to HEAD of unknown length.
        case none
        /// So many bytes; a reply to HEAD says so and has none.
        case known(Int)
        /// In chunks, or until the connection closes for a client that knows no chunks.
        case unknown
    }

    var status: Int
    /// The fields but for `Content-Length`, `Transfer-Encoding` and `Connection`.
    var headers: [(name: String, value: String)]
    var length: BodyLength
}

/// How the body of a streamed answer goes onto the wire.
enum AnswerFraming: Equatable {
    /// What is written is thrown away: the answer has a head only.
    case headOnly
    /// As it is: its length was announced.
    case length
    /// In chunks (RFC 9112 §7.1).
    case chunked
    /// As it is, until the connection closes.
    case untilClose

    /// Finds the framing that an answer's client understands.
    init(_ head: AnswerHead, isHead: Bool, isHTTP10: Bool) {
        if isHead || !Reply.mayHaveBody(head.status) {
            self = .headOnly
        } else if head.length == .unknown {
            self = isHTTP10 ? .untilClose : .chunked
        } else {
            self = .length
        }
    }
}

extension AnswerHead {
    /// The bytes of body that the client is told to expect; nil when it is not told.
    func announcedBytes(_ framing: AnswerFraming) -> Int? {
        guard framing == .length else { return nil }
        return if case .known(let bytes) = length { bytes } else { 0 }
    }

    /// Writes the head as HTTP/1.1 (RFC 9112 §4).
    ///
    /// - Parameters:
    ///   - date: The `Date` field's value, unless the upstream gave one.
    ///   - connection: The `Connection` field's value, if one is needed.
    func write(to buffer: inout ByteBuffer, framing: AnswerFraming, date: String, connection: String?) {
        Reply.writeStatusLine(status, to: &buffer)
        var hasDate = false
        for (name, value) in headers {
            if name.isASCII("date") { hasDate = true }
            buffer.writeField(name, value)
        }
        if !hasDate { buffer.writeField("Date", date) }
        switch (framing, length) {
        case (.chunked, _):
            buffer.writeField("Transfer-Encoding", "chunked")
        case (.length, _):
            buffer.writeField("Content-Length", String(announcedBytes(framing) ?? 0))
        // What GET would have: HEAD and 304 may say so, 204 must not (RFC 9110 §8.6).
        case (.headOnly, .known(let bytes)) where status >= 200 && status != 204:
            buffer.writeField("Content-Length", String(bytes))
        case (.headOnly, _), (.untilClose, _):
            break
        }
        if let connection { buffer.writeField("Connection", connection) }
        buffer.writeStaticString("\r\n")
    }
}
