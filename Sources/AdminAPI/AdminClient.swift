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

    private static let timeoutSeconds: Int64 = 10
    private static let maxReplyBytes = 16 << 20
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

    /// How the daemon does.
    package func status() async throws -> RelayStatus {
        try await get("status", as: RelayStatus.self)
    }

    private func get<Message: Decodable>(_ name: String, as type: Message.Type) async throws -> Message {
        guard let url = URL(httpURLWithSocketPath: socketPath, uri: "/\(Self.version)/\(name)") else {
            throw Failure(description: "\(socketPath) is not a path")
        }
        let bytes: ByteBuffer
        do {
            let request = HTTPClientRequest(url: url.absoluteString)
            let response = try await Self.client.execute(request, timeout: .seconds(Self.timeoutSeconds))
            guard response.status == .ok else {
                throw Failure(description: "the daemon at \(socketPath) answered \(response.status.code)")
            }
            bytes = try await response.body.collect(upTo: Self.maxReplyBytes)
        } catch let failure as Failure {
            throw failure
        } catch {
            throw Failure(description: "no contact-relay answers at \(socketPath): is it running? (\(error))")
        }
        do {
            return try AdminJSON.decode(type, from: Data(bytes.readableBytesView))
        } catch {
            throw Failure(description: "the daemon at \(socketPath) speaks another version of the admin API")
        }
    }
}
