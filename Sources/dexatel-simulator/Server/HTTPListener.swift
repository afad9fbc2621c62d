import NIOCore
import NIOHTTP1
import NIOPosix

/// A port that can be closed, with all its connections, and opened again.
actor HTTPListener {
    private let reservation: PortReservation
    private let group: MultiThreadedEventLoopGroup
    private let responder: any HTTPResponder
    private let registry = ConnectionRegistry()
    private var channel: (any Channel)?
    /// Switches take their turns: the last one that was asked for holds in the end.
    private var lastSwitch: Task<Void, any Error>?

    private static let backlog: CInt = 1024

    init(host: String, port: Int, group: MultiThreadedEventLoopGroup, responder: any HTTPResponder) throws {
        reservation = try PortReservation(SocketAddress(ipAddress: host, port: port))
        self.group = group
        self.responder = responder
    }

    nonisolated var port: Int { reservation.port }

    /// `http://…`, where the port is.
    nonisolated var url: String {
        let host = reservation.address.ipAddress ?? ""
        return host.contains(":") ? "http://[\(host)]:\(port)" : "http://\(host):\(port)"
    }

    /// Accepts connections; returns when that is so.
    func open() async throws {
        try await inTurn { try await self.bind() }
    }

    /// Refuses connections and closes those that are open; returns when that is so.
    func close() async throws {
        try await inTurn { await self.unbind() }
    }

    /// Opens or closes, as is wanted when the switches before this one are done.
    func follow(_ isWanted: @escaping @Sendable () -> Bool) async throws {
        try await inTurn { if isWanted() { try await self.bind() } else { await self.unbind() } }
    }

    private func inTurn(_ work: @escaping @Sendable () async throws -> Void) async throws {
        let previous = lastSwitch
        let task = Task {
            _ = await previous?.result
            try await work()
        }
        lastSwitch = task
        try await task.value
    }

    private func bind() async throws {
        guard channel == nil else { return }
        let (responder, registry) = (responder, registry)
        registry.open()
        channel = try await ServerBootstrap(group: group)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .serverChannelOption(.backlog, value: Self.backlog)
            .childChannelOption(.socketOption(.tcp_nodelay), value: 1)
            .childChannelInitializer { child in
                child.eventLoop.makeCompletedFuture {
                    guard registry.admit(child) else { throw ChannelError.ioOnClosedChannel }
                    try child.pipeline.syncOperations.addHandlers([
                        ByteToMessageHandler(HTTPRequestDecoder(leftOverBytesStrategy: .dropBytes)),
                        HTTPConnectionHandler(responder: responder),
                    ])
                }
            }
            .bind(to: reservation.address).get()
    }

    private func unbind() async {
        try? await channel?.close()
        channel = nil
        await registry.close()
    }
}
