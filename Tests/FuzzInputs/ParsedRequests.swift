package import HTTPWire
import NIOCore
import NIOHTTP1

/// What a parser makes of some bytes: whole requests, and how it ended.
package struct ParsedRequests: Equatable, CustomStringConvertible {
    /// A request, and how much of it came.
    package struct Request: Equatable {
        /// As it was spelled.
        package var method: String
        /// Byte for byte.
        package var target: String
        /// Whether it is HTTP/1.0.
        package var isHTTP10: Bool
        /// `name: value`, in order.
        package var fields: [String]
        /// Without the framing.
        package var body: [UInt8] = []
        /// Whether its end came.
        package var isComplete = false

        /// A request whose parts are known.
        package init(
            method: String,
            target: String,
            isHTTP10: Bool,
            fields: [String],
            body: [UInt8] = [],
            isComplete: Bool = false
        ) {
            self.method = method
            self.target = target
            self.isHTTP10 = isHTTP10
            self.fields = fields
            self.body = body
            self.isComplete = isComplete
        }
    }

    /// In order.
    package private(set) var requests: [Request] = []
    /// Why nothing more was read.
    package private(set) var fault: RequestFault?
    /// Bytes that were not taken.
    package private(set) var bytesLeft = 0

    /// The requests and the end, for a message.
    package var description: String {
        let texts = requests.map {
            "\($0.method) \($0.target) \($0.isHTTP10 ? "1.0 " : "")\($0.fields) "
                + "\(String(decoding: $0.body, as: UTF8.self).debugDescription)\($0.isComplete ? "" : "…")"
        }
        return "\(texts) \(fault.map { "\($0)" } ?? "no fault"), \(bytesLeft) bytes left"
    }

    /// Parses bytes that come in these pieces.
    package init(_ pieces: [[UInt8]], maxHeadBytes: Int = 16 * 1024) {
        var parser = RequestParser(maxHeadBytes: maxHeadBytes)
        var input = ByteBuffer()
        for piece in pieces {
            input.writeBytes(piece)
            do throws(RequestFault) {
                while let part = try parser.next(&input) { take(part) }
            } catch {
                fault = error
                return
            }
        }
        bytesLeft = input.readableBytes
    }

    /// Parses a text that comes at once.
    package init(_ text: String, maxHeadBytes: Int = 16 * 1024) {
        self.init([Array(text.utf8)], maxHeadBytes: maxHeadBytes)
    }

    private mutating func take(_ part: RequestParser.Part) {
        switch part {
        case .head(let head):
            requests.append(
                Request(
                    method: head.method.rawValue,
                    target: head.target,
                    isHTTP10: head.isHTTP10,
                    fields: head.headers.map { "\($0.name): \($0.value)" }
                )
            )
        case .body(let bytes): requests[requests.count - 1].body += Array(bytes.readableBytesView)
        case .end: requests[requests.count - 1].isComplete = true
        }
    }
}
