import AsyncHTTPClient
import Foundation
import NIOCore
import NIOHTTP1

/// Talks to a running daemon over its admin socket.
package struct AdminClient: Sendable {
    /// The daemon does not answer (exit 69), or answers something else than was asked for.
    package struct Failure: Error, CustomStringConvertible {
        /// What happened, for an operator.
        package let description: String
    }

    /// The version of the API; it is the first segment of every path.
    package static let version = "v1"

    /// For what the daemon answers from memory or with a bounded look into the database.
    private static let timeoutSeconds: Int64 = 30
    /// For what takes as long as the outbox is large.
    private static let longTimeoutSeconds: Int64 = 3_600
    private static let maxReplyBytes = 64 << 20
    private static let client: HTTPClient = {
        var configuration = HTTPClient.Configuration()
        // A daemon that does not listen is not running: its operator hears so at once.
        configuration.connectionPool.retryConnectionEstablishment = false
        return HTTPClient(eventLoopGroupProvider: .singleton, configuration: configuration)
    }()

    private let socketPath: String

    /// Makes a client for the daemon that listens at this path.
    package init(socketPath: String) {
        self.socketPath = socketPath
    }

    /// Asks for something.
    ///
    /// - Throws: `Failure` when nobody answers, and `AdminProblem` when the daemon refuses.
    package func get<Message: Decodable>(
        _ path: String,
        as type: Message.Type,
        isLong: Bool = false
    ) async throws -> Message {
        try await send(.GET, path, body: nil, as: type, isLong: isLong)
    }

    /// Has something done.
    ///
    /// - Throws: `Failure` when nobody answers, and `AdminProblem` when the daemon refuses.
    package func post<Message: Decodable>(
        _ path: String,
        _ body: some Encodable,
        as type: Message.Type,
        isLong: Bool = false
    ) async throws -> Message {
        try await send(.POST, path, body: AdminJSON.encode(body), as: type, isLong: isLong)
    }

    private func unreachable(_ error: any Error) -> Failure {
        guard let error = error as? IOError else {
            return Failure(description: "the contact-relay at \(socketPath) does not answer (\(error))")
        }
        let reason = String(cString: strerror(error.errnoCode))
        let advice =
            error.errnoCode == EACCES
            ? "only root and the members of its group may talk to it" : "is it running, and is this its admin.socket?"
        return Failure(description: "no contact-relay answers at \(socketPath) (\(reason)): \(advice)")
    }

    private func send<Message: Decodable>(
        _ method: HTTPMethod,
        _ path: String,
        body: Data?,
        as type: Message.Type,
        isLong: Bool
    ) async throws -> Message {
        guard let url = URL(httpURLWithSocketPath: socketPath, uri: "/\(Self.version)/\(path)") else {
            throw Failure(description: "\(socketPath) is not a path")
        }
        let status: HTTPResponseStatus
        let bytes: ByteBuffer
        do {
            var request = HTTPClientRequest(url: url.absoluteString)
            request.method = method
            if let body {
                request.headers.add(name: "Content-Type", value: "application/json")
                request.body = .bytes(ByteBuffer(bytes: body))
            }
            let seconds = isLong ? Self.longTimeoutSeconds : Self.timeoutSeconds
            let response = try await Self.client.execute(request, timeout: .seconds(seconds))
            status = response.status
            bytes = try await response.body.collect(upTo: Self.maxReplyBytes)
        } catch {
            throw unreachable(error)
        }
        let data = Data(bytes.readableBytesView)
        guard status == .ok else {
            if let problem = try? AdminJSON.decode(AdminProblem.self, from: data) { throw problem }
            throw Failure(description: "the daemon at \(socketPath) answered \(status.code)")
        }
        do {
            return try AdminJSON.decode(type, from: data)
        } catch {
            throw Failure(description: "the daemon at \(socketPath) speaks another version of the admin API")
        }
    }
}
