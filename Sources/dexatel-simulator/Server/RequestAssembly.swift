import DexatelAPI
import NIOCore
import NIOHTTP1

/// A request whose body is still coming.
struct RequestAssembly {
    let head: HTTPRequestHead
    private var body: [UInt8] = []
    private var isBodyTooLarge = false
    private let bodyLimitBytes: Int
    /// Whether the client waits for `100 Continue` (RFC 9110 §10.1.1).
    var owesContinue: Bool

    init(_ head: HTTPRequestHead, bodyLimitBytes: Int) {
        self.head = head
        self.bodyLimitBytes = bodyLimitBytes
        owesContinue = head.version.minor > 0 && head.headers["Expect"].first?.lowercased() == "100-continue"
    }

    /// Whether the length that was announced goes over the limit.
    var announcesTooMuch: Bool {
        head.headers["Content-Length"].first.flatMap { Int($0) }.map { $0 > bodyLimitBytes } ?? false
    }

    mutating func append(_ part: ByteBuffer) {
        guard !isBodyTooLarge else { return }
        if body.count + part.readableBytes > bodyLimitBytes {
            isBodyTooLarge = true
            body = []
        } else {
            body.append(contentsOf: part.readableBytesView)
        }
    }

    /// Marks the body as too large without having seen it.
    mutating func refuseBody() {
        isBodyTooLarge = true
        body = []
    }

    /// The complete request.
    func request(atMilliseconds now: Int64) -> SimulatorRequest {
        SimulatorRequest(
            method: head.method.rawValue,
            target: head.uri,
            host: head.headers["Host"].first,
            key: head.headers[DexatelHeader.apiKey].first,
            contentType: head.headers["Content-Type"].first,
            ifNoneMatch: head.headers["If-None-Match"].first,
            body: body,
            isBodyTooLarge: isBodyTooLarge,
            receivedMilliseconds: now
        )
    }
}
