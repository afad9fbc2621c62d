import AdminAPI
import NIOCore
import NIOHTTP1

/// A reply of the admin API: JSON, whatever it says.
struct AdminReply: Sendable {
    var status: HTTPResponseStatus
    var contentType = "application/json"
    /// Further fields.
    var headers: [(String, String)] = []
    var body: ByteBuffer

    init(_ message: some Encodable) throws {
        status = .ok
        body = ByteBuffer(bytes: try AdminJSON.encode(message))
    }

    init(_ problem: AdminProblem, headers: [(String, String)] = []) {
        status = HTTPResponseStatus(statusCode: problem.status)
        contentType = "application/problem+json"
        self.headers = headers
        // It is a plain struct of numbers and strings: it always encodes.
        body = (try? AdminJSON.encode(problem)).map { ByteBuffer(bytes: $0) } ?? ByteBuffer()
    }
}
