import AdminAPI
import Foundation
import Logging
import NIOCore
import NIOHTTP1
import NIOPosix

/// Serves the admin API on a Unix socket (mode 0660) that only the relay's user and group may use (design §2.1).
final class AdminServer: Sendable {
    private typealias Connection = NIOAsyncChannel<HTTPServerRequestPart, HTTPServerResponsePart>

    private let listener: NIOAsyncChannel<Connection, Never>
    private let health: DaemonHealth
    private let logger: Logger

    private init(listener: NIOAsyncChannel<Connection, Never>, health: DaemonHealth, logger: Logger) {
        self.listener = listener
        self.health = health
        self.logger = logger
    }

    /// Binds the socket.
    static func bind(
        path: String,
        health: DaemonHealth,
        group: MultiThreadedEventLoopGroup,
        logger: Logger
    ) async throws -> AdminServer {
        let listener = try await ServerBootstrap(group: group)
            .bind(unixDomainSocketPath: path, cleanupExistingSocketFile: true) { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.configureHTTPServerPipeline()
                    return try Connection(wrappingChannelSynchronously: channel)
                }
            }
        guard chmod(path, 0o660) == 0 else {
            let number = errno
            throw AdminSocketFailure(
                description: "cannot set the mode of \(path): \(String(cString: strerror(number)))",
                errorNumber: number
            )
        }
        return AdminServer(listener: listener, health: health, logger: logger)
    }

    /// Serves until its task is cancelled.
    func run() async throws {
        try await listener.executeThenClose { connections in
            await withDiscardingTaskGroup { group in
                do {
                    for try await connection in connections {
                        group.addTask { await self.serve(connection) }
                    }
                } catch is CancellationError {
                    // The daemon stops.
                } catch {
                    self.logger.error("the admin socket ended", metadata: ["error": "\(error)"])
                }
                group.cancelAll()
            }
        }
    }

    private func serve(_ connection: Connection) async {
        // A client that goes away in the middle of its own request is no news.
        try? await connection.executeThenClose { requests, replies in
            for try await part in requests {
                guard case .head(let head) = part else { continue }
                let (status, body) = await reply(to: head)
                let headers: HTTPHeaders = [
                    "Content-Type": "application/json", "Content-Length": String(body.readableBytes),
                ]
                try await replies.write(.head(HTTPResponseHead(version: .http1_1, status: status, headers: headers)))
                if head.method != .HEAD { try await replies.write(.body(.byteBuffer(body))) }
                try await replies.write(.end(nil))
            }
        }
    }

    private func reply(to head: HTTPRequestHead) async -> (HTTPResponseStatus, ByteBuffer) {
        switch (head.method, head.uri) {
        case (.GET, "/\(AdminClient.version)/status"), (.HEAD, "/\(AdminClient.version)/status"):
            return (.ok, ByteBuffer(bytes: await health.statusDocument()))
        default:
            return (.notFound, ByteBuffer(string: #"{"detail":"there is nothing here"}"#))
        }
    }
}

/// The admin socket could not be set up.
struct AdminSocketFailure: Error, CustomStringConvertible {
    let description: String
    let errorNumber: Int32
}
