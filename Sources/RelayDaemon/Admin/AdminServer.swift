import AdminAPI
import Foundation
import Logging
import NIOCore
import NIOHTTP1
import NIOPosix
import ProxyServer
import Synchronization

/// Serves the admin API on a Unix socket (mode 0660) that only the relay's user and group may use (design §2.1).
final class AdminServer: Sendable {
    private typealias Connection = NIOAsyncChannel<HTTPServerRequestPart, HTTPServerResponsePart>
    private typealias Replies = NIOAsyncChannelOutboundWriter<HTTPServerResponsePart>

    /// Connections at a time (P8); further ones are closed at once.
    static let maxConnections = 64

    private let listener: NIOAsyncChannel<Connection, Never>
    private let router: AdminRouter
    private let logger: Logger
    private let connections = Mutex(0)
    private let claim: UnixSocketClaim

    private init(listener: NIOAsyncChannel<Connection, Never>, claim: UnixSocketClaim, parts: AdminParts) {
        (self.listener, self.claim) = (listener, claim)
        router = AdminRouter(parts)
        logger = parts.logger
    }

    /// Binds the socket.
    static func bind(path: String, parts: AdminParts, group: MultiThreadedEventLoopGroup) async throws -> AdminServer {
        let claim = try UnixSocketClaim(path)
        let gate = AcceptGate(logger: parts.logger)
        let listener = try await ServerBootstrap(group: group)
            .serverChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(AcceptGateHandler(gate))
                }
            }
            .bind(unixDomainSocketPath: path) { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.configureHTTPServerPipeline()
                    return try Connection(wrappingChannelSynchronously: channel)
                }
            }
        try claim.bound(mode: 0o660)
        return AdminServer(listener: listener, claim: claim, parts: parts)
    }

    /// Serves until its task is cancelled.
    func run() async throws {
        defer { claim.release() }
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
        let isAdmitted = connections.withLock { count in
            count += 1
            return count <= Self.maxConnections
        }
        defer { connections.withLock { $0 -= 1 } }
        // A client that goes away in the middle of its own request is no news.
        try? await connection.executeThenClose { parts, replies in
            guard isAdmitted else { return }
            var head: HTTPRequestHead?
            var (body, isTooLarge) = (ByteBuffer(), false)
            for try await part in parts {
                switch part {
                case .head(let next): (head, body, isTooLarge) = (next, ByteBuffer(), false)
                case .body(var bytes):
                    if body.readableBytes + bytes.readableBytes > AdminRequest.maxBodyBytes {
                        // The rest is read and dropped: a client that still sends does not hear an answer.
                        (body, isTooLarge) = (ByteBuffer(), true)
                    }
                    if !isTooLarge { body.writeBuffer(&bytes) }
                case .end:
                    guard let asked = head else { continue }
                    let reply = isTooLarge ? Self.tooLarge : await self.reply(to: asked, body)
                    try await Self.write(reply, to: replies, isHead: asked.method == .HEAD)
                    (head, body) = (nil, ByteBuffer())
                }
            }
        }
    }

    private static let tooLarge = AdminReply(
        AdminProblem(
            .payloadTooLarge,
            "body_too_large",
            "a request takes \(AdminRequest.maxBodyBytes) bytes at most; send it in parts"
        )
    )

    private func reply(to head: HTTPRequestHead, _ body: ByteBuffer) async -> AdminReply {
        guard let request = AdminRequest(method: head.method, target: head.uri, body: body) else {
            let text = "this daemon speaks version \(AdminClient.version) of the admin API: /\(AdminClient.version)/…"
            return AdminReply(AdminProblem(.notFound, "not_found", text))
        }
        return await router.reply(to: request)
    }

    private static func write(
        _ reply: AdminReply,
        to replies: Replies,
        isHead: Bool
    ) async throws {
        var headers: HTTPHeaders = [
            "Content-Type": reply.contentType, "Content-Length": String(reply.body.readableBytes),
        ]
        for (name, value) in reply.headers { headers.add(name: name, value: value) }
        try await replies.write(.head(HTTPResponseHead(version: .http1_1, status: reply.status, headers: headers)))
        if !isHead { try await replies.write(.body(.byteBuffer(reply.body))) }
        try await replies.write(.end(nil))
    }
}
