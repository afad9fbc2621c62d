import Foundation
import HTTPClient
import NIOCore
import NIOHTTP1
import TestSupport

/// A reply, complete.
struct Answer: Sendable {
    var status: Int
    var headers: HTTPHeaders
    var body: [UInt8]

    var text: String { String(decoding: body, as: UTF8.self) }

    func decoded<Value: Decodable>(_ type: Value.Type) throws -> Value {
        let decoder = JSONDecoder()
        decoder.keyDecodingStrategy = .convertFromSnakeCase
        return try decoder.decode(type, from: Data(body))
    }

    /// The name of the receipt that a queued write has.
    var write: String? { headers.first(name: "Contact-Relay-Write") }
}

extension Answer {
    init(_ reply: WholeReply) {
        self.init(status: reply.head.status, headers: reply.head.headers, body: Array(reply.body.readableBytesView))
    }
}

/// A well-behaved HTTP client: keep-alive, no redirects, no repetition.
enum Exchange {
    /// Sends a request and gathers its reply.
    static func send(
        _ method: HTTPMethod,
        _ url: String,
        headers: HTTPHeaders = [:],
        body: String? = nil,
        timeout: TimeAmount = .seconds(25)
    ) async throws -> Answer {
        Answer(
            try await TestClient.send(
                method.rawValue,
                url,
                headers: headers,
                body: body.map { ByteBuffer(string: $0) },
                timeout: timeout
            )
        )
    }
}
