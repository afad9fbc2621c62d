import NIOCore
import NIOHTTP1

/// A request as bytes, checked, with what its exchange must know of it.
struct RenderedRequest: Sendable {
    /// How the pieces of a streamed body are framed.
    enum Streaming: Sendable, Hashable {
        /// The body is in the bytes, or there is none.
        case none
        /// As chunks.
        case chunked
        /// As so many bytes.
        case counted(Int64)
    }

    /// Bodies up to this go into one buffer with their head.
    private static let maxInlineBodyBytes = 16 << 10

    /// The head, and a short body.
    var bytes: ByteBuffer
    /// A long body.
    let body: ByteBuffer?
    /// How pieces that follow are framed.
    let streaming: Streaming
    /// Whether the reply has no body.
    let isHead: Bool
    /// Whether sending it twice does no harm (RFC 9110 §9.2.1), so that it may be repeated on a fresh connection.
    let isSafe: Bool
    /// Whether a 304 can answer it.
    let isConditional: Bool
    /// The class of traffic.
    let traffic: TrafficClass

    /// Writes a request for an authority (RFC 9112 §3).
    init(_ request: OutboundRequest, authority: String) throws(ExchangeFailure) {
        guard FieldText.isToken(request.method), request.method != "CONNECT",
            request.target.utf8.first == UInt8(ascii: "/"),
            request.target.utf8.allSatisfy({ (0x21...0x7E).contains($0) && $0 != UInt8(ascii: "#") })
        else { throw Self.invalid("the method or target is malformed") }
        var bytes = ByteBuffer()
        bytes.reserveCapacity(512 + request.target.utf8.count)
        bytes.writeString(request.method)
        bytes.writeInteger(UInt8(ascii: " "))
        bytes.writeString(request.target)
        bytes.writeStaticString(" HTTP/1.1\r\nHost: ")
        bytes.writeString(authority)
        bytes.writeStaticString("\r\n")
        var isConditional = false
        for (name, value) in request.headers {
            switch Self.meaning(name) {
            case .own: continue
            case .condition: isConditional = true
            case .plain: break
            }
            guard FieldText.isToken(name) else { throw Self.invalid("a field's name is malformed") }
            bytes.writeString(name)
            bytes.writeStaticString(": ")
            guard FieldText.write(value: value, to: &bytes) else { throw Self.invalid("a field's value is malformed") }
            bytes.writeStaticString("\r\n")
        }
        var long: ByteBuffer?
        switch request.body {
        case .none:
            // RFC 9110 §8.6: a method that usually has a body says that it has none.
            if ["POST", "PUT", "PATCH"].contains(request.method) { bytes.writeStaticString("Content-Length: 0\r\n") }
            bytes.writeStaticString("\r\n")
            self.streaming = .none
        case .whole(let body):
            bytes.writeString("Content-Length: \(body.readableBytes)\r\n\r\n")
            if body.readableBytes <= Self.maxInlineBodyBytes { bytes.writeImmutableBuffer(body) } else { long = body }
            self.streaming = .none
        case .pieces(let length?):
            guard length >= 0 else { throw Self.invalid("the body's length is negative") }
            bytes.writeString("Content-Length: \(length)\r\n\r\n")
            self.streaming = .counted(length)
        case .pieces(nil):
            bytes.writeStaticString("Transfer-Encoding: chunked\r\n\r\n")
            self.streaming = .chunked
        }
        self.bytes = bytes
        self.body = long
        self.isHead = request.method == "HEAD"
        self.isSafe = ["GET", "HEAD", "OPTIONS", "TRACE"].contains(request.method)
        self.isConditional = isConditional
        self.traffic = request.traffic
    }

    private static func invalid(_ reason: String) -> ExchangeFailure {
        ExchangeFailure(.invalidRequest, reason, mayHaveTakenEffect: false)
    }

    private enum Meaning { case plain, own, condition }

    /// Most names are told apart by their length.
    private static func meaning(_ name: String) -> Meaning {
        switch name.utf8.count {
        case 4 where name.isSameName(as: "host"): .own
        case 7 where name.isSameName(as: "upgrade"): .own
        case 8 where name.isSameName(as: "if-match"), 8 where name.isSameName(as: "if-range"): .condition
        case 10 where name.isSameName(as: "connection"), 10 where name.isSameName(as: "keep-alive"): .own
        case 13 where name.isSameName(as: "if-none-match"): .condition
        case 14 where name.isSameName(as: "content-length"): .own
        case 17 where name.isSameName(as: "transfer-encoding"), 16 where name.isSameName(as: "proxy-connection"): .own
        case 17 where name.isSameName(as: "if-modified-since"): .condition
        case 19 where name.isSameName(as: "if-unmodified-since"): .condition
        default: .plain
        }
    }
}

extension String {
    /// Compares with a lower-case ASCII name, letter case aside.
    fileprivate func isSameName(as lowercase: StaticString) -> Bool {
        var index = 0
        for byte in self.utf8 {
            guard index < lowercase.utf8CodeUnitCount else { return false }
            let lower = (0x41...0x5A).contains(byte) ? byte | 0x20 : byte
            if lower != lowercase.utf8Start[index] { return false }
            index += 1
        }
        return index == lowercase.utf8CodeUnitCount
    }
}
