import HTTPWire
import NIOCore
import NIOHTTP1

/// What a parser makes of some bytes: whole requests, and how it ended.
struct ParsedRequests: Equatable, CustomStringConvertible {
    struct Request: Equatable {
        var method: String
        var target: String
        var isHTTP10: Bool
        var fields: [String]
        var body: [UInt8] = []
        var isComplete = false
    }

    var requests: [Request] = []
    var fault: RequestFault?
    /// Bytes that were not taken.
    var bytesLeft = 0

    var description: String {
        let texts = requests.map {
            "\($0.method) \($0.target) \($0.isHTTP10 ? "1.0 " : "")\($0.fields) "
                + "\(String(decoding: $0.body, as: UTF8.self).debugDescription)\($0.isComplete ? "" : "…")"
        }
        return "\(texts) \(fault.map { "\($0)" } ?? "no fault"), \(bytesLeft) bytes left"
    }

    /// Parses bytes that come in these pieces.
    init(_ pieces: [[UInt8]], maxHeadBytes: Int = 16 * 1024) {
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

    init(_ text: String, maxHeadBytes: Int = 16 * 1024) {
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
