import Foundation
import HTTPClient
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
    private static let timeout = TimeAmount.seconds(30)
    /// For what takes as long as the outbox is large.
    private static let longTimeout = TimeAmount.hours(1)
    private static let maxReplyBytes = 64 << 20
    private let socketPath: String
    private let origin: OriginClient

    /// Makes a client for the daemon that listens at this path.
    package init(socketPath: String) {
        self.socketPath = socketPath
        origin = OriginClient(
            OriginConfiguration(endpoint: .unixSocket(path: socketPath), authority: "localhost")
        )
    }

    /// Asks for something.
    ///
    /// - Throws: `Failure` when nobody answers, and `AdminProblem` when the daemon refuses.
    package func get<Message: Decodable>(
        _ path: String,
        as type: Message.Type,
        isLong: Bool = false
    ) async throws -> Message {
        try await send("GET", path, body: nil, as: type, isLong: isLong)
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
        try await send("POST", path, body: AdminJSON.encode(body), as: type, isLong: isLong)
    }

    private func unreachable(_ failure: ExchangeFailure) -> Failure {
        guard let errorNumber = failure.errorNumber else {
            return Failure(description: "the contact-relay at \(socketPath) does not answer (\(failure))")
        }
        let reason = String(cString: strerror(errorNumber))
        let advice =
            errorNumber == EACCES
            ? "only root and the members of its group may talk to it" : "is it running, and is this its admin.socket?"
        return Failure(description: "no contact-relay answers at \(socketPath) (\(reason)): \(advice)")
    }

    private func send<Message: Decodable>(
        _ method: String,
        _ path: String,
        body: Data?,
        as type: Message.Type,
        isLong: Bool
    ) async throws -> Message {
        var request = OutboundRequest(method: method, target: "/\(Self.version)/\(path)")
        if let body {
            request.headers.add(name: "Content-Type", value: "application/json")
            request.body = .whole(ByteBuffer(bytes: body))
        }
        let result = await origin.send(
            request,
            timeout: isLong ? Self.longTimeout : Self.timeout,
            maxReplyBytes: Self.maxReplyBytes
        )
        let reply: WholeReply
        do throws(ExchangeFailure) {
            reply = try result.get()
        } catch {
            throw unreachable(error)
        }
        let data = Data(reply.body.readableBytesView)
        guard reply.head.status == 200 else {
            if let problem = try? AdminJSON.decode(AdminProblem.self, from: data) { throw problem }
            throw Failure(description: "the daemon at \(socketPath) answered \(reply.head.status)")
        }
        do {
            return try AdminJSON.decode(type, from: data)
        } catch {
            throw Failure(description: "the daemon at \(socketPath) speaks another version of the admin API")
        }
    }
}
