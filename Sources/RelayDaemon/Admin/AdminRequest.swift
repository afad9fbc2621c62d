import AdminAPI
import Foundation
import NIOCore
import NIOHTTP1

/// A whole request of the admin API.
struct AdminRequest: Sendable {
    /// The largest body that is taken (P8): an import of some large writes.
    static let maxBodyBytes = 32 << 20

    let method: HTTPMethod
    /// The path's segments behind the version.
    let segments: [Substring]
    let body: ByteBuffer

    /// Reads a target; nil when it is of no version that this daemon speaks.
    init?(method: HTTPMethod, target: String, body: ByteBuffer) {
        let path = target.prefix { $0 != "?" }
        var segments = path.split(separator: "/", omittingEmptySubsequences: false)
        guard segments.count > 2, segments.removeFirst().isEmpty, segments.removeFirst() == AdminClient.version else {
            return nil
        }
        (self.method, self.segments, self.body) = (method, segments, body)
    }

    /// The body as a message.
    func message<Message: Decodable>(_ type: Message.Type) throws(AdminProblem) -> Message {
        do {
            return try AdminJSON.decode(type, from: Data(body.readableBytesView))
        } catch let error as DecodingError {
            throw AdminProblem(.badRequest, "bad_request", "the body is not what this path takes: \(Self.text(error))")
        } catch {
            throw AdminProblem(.badRequest, "bad_request", "the body is not JSON")
        }
    }

    /// Where a message is wrong, without what it says: it may be a secret.
    private static func text(_ error: DecodingError) -> String {
        let (path, what): ([any CodingKey], String) =
            switch error {
            case .keyNotFound(let key, let context): (context.codingPath + [key], "is missing")
            case .valueNotFound(_, let context): (context.codingPath, "is null")
            case .typeMismatch(let type, let context): (context.codingPath, "is no \(type)")
            case .dataCorrupted(let context): (context.codingPath, "cannot be read")
            @unknown default: ([], "cannot be read")
            }
        let name = path.map { $0.intValue.map(String.init) ?? $0.stringValue }.joined(separator: ".")
        return name.isEmpty ? "it \(what)" : "\(name) \(what)"
    }
}

extension AdminProblem {
    init(_ status: HTTPResponseStatus, _ code: String, _ detail: String) {
        self.init(Int(status.code), code, detail, title: status.reasonPhrase)
    }
}
