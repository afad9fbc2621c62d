import DexatelAPI
package import Logging
import NIOCore
package import NIOPosix
package import Outbox
package import ResponseCache
import Synchronization
package import Upstream

/// Listening sockets that somebody else has bound and keeps, as systemd does; the server owns the descriptors.
package struct PassedListeners: Sendable, Equatable {
    /// TCP sockets.
    package var tcp: [CInt]
    /// Unix sockets.
    package var unix: [CInt]

    /// Describes sockets; none by default.
    package init(tcp: [CInt] = [], unix: [CInt] = []) {
        (self.tcp, self.unix) = (tcp, unix)
    }
}

/// The HTTP server that the apps talk to: listeners, connections, and an orderly end.
package final class ProxyServer: Sendable {
    /// Where a listener is bound.
    package enum Address: Sendable, Equatable {
        /// A TCP address.
        case tcp(host: String, port: Int)
        /// A Unix socket's path.
        case unix(path: String)
    }

    /// Connections that may wait to be accepted; the kernel lowers it to `net.core.somaxconn`.
    private static let backlog: CInt = 4096
    /// Connections that one turn of an event loop accepts: clients that come all at once do not wait for many turns.
    private static let maxAcceptsPerTurn: UInt = 256
    /// How long a stopping server leaves connections open on which the next request may be on its way.
    private static let idleGrace: Duration = .milliseconds(500)
    /// How long it waits for the first request of a client that has just connected.
    private static let newGrace: Duration = .seconds(2)

    private let current: Mutex<ServerCore>
    /// What new connections are served with.
    private var core: ServerCore { current.withLock { $0 } }
    private let group: MultiThreadedEventLoopGroup
    private let loops: LoopContexts
    private let listeners = Mutex<[any Channel]>([])
    private let claims = Mutex<[UnixSocketClaim]>([])
    private let gate: AcceptGate
    private let connectionCount = Atomic<Int>(0)
    private let logger: Logger

    /// Makes a server that does not listen yet.
    ///
    /// - Parameters:
    ///   - client: Where everything goes that is not queued; the caller shuts it down after the server.
    ///   - upstreamHealth: The breaker that the deliveries use, too.
    ///   - cache: What reads are answered from.
    ///   - disk: What they are answered from if it is not in memory; the caller starts and closes it.
    ///   - overlay: What is laid over that; it hears of the outbox's writes.
    package init(
        configuration: ServerConfiguration,
        outbox: Outbox,
        client: UpstreamClient,
        upstreamHealth: UpstreamHealth,
        cache: MemoryCache,
        disk: DiskCache? = nil,
        overlay: PendingOverlay,
        health: any HealthSource,
        clock: ReadClock = ReadClock(),
        group: MultiThreadedEventLoopGroup,
        logger: Logger
    ) async throws {
        let wallSeconds: @Sendable () -> Int64 = { RelayClock.wallMilliseconds() / 1000 }
        let core = ServerCore(
            configuration: configuration,
            outbox: outbox,
            client: client,
            upstreamHealth: upstreamHealth,
            health: health,
            reads: ReadParts(
                cache: cache,
                disk: disk,
                overlay: overlay,
                clock: clock,
                maxWaiters: configuration.maxReadWaiters
            ),
            errors: RelayErrors(wallSeconds: wallSeconds)
        )
        current = Mutex(core)
        self.group = group
        self.logger = logger
        gate = AcceptGate(logger: logger)
        loops = try await LoopContexts(group, wallSeconds: wallSeconds)
    }

    /// What contact writes have to be like, as the configuration in force has it.
    package var writeRules: WriteRules { WriteRules(core.configuration) }

    /// Listens, and says where.
    ///
    /// - Parameter passed: Listening sockets that somebody else has bound and keeps; where there are some of a kind, the
    ///   configured address of that kind is not bound.
    package func start(_ passed: PassedListeners = PassedListeners()) async throws -> [Address] {
        var addresses: [Address] = []
        let configuration = core.configuration
        for descriptor in passed.tcp {
            let tcp = try await listen(bootstrap().withBoundSocket(descriptor))
            let address = tcp.localAddress
            addresses.append(.tcp(host: address?.ipAddress ?? "unknown", port: address?.port ?? 0))
        }
        if passed.tcp.isEmpty, let host = configuration.address {
            addresses += try await listen(at: host, configuration)
        }
        for descriptor in passed.unix {
            let unix = try await listen(bootstrap().withBoundSocket(descriptor))
            addresses.append(.unix(path: unix.localAddress?.pathname ?? "unknown"))
        }
        if passed.unix.isEmpty, let path = configuration.unixSocket {
            let claim = try UnixSocketClaim(path)
            claims.withLock { $0.append(claim) }
            _ = try await listen(bootstrap().bind(unixDomainSocketPath: path))
            // As on TCP, whoever connects is judged by what it shows and by who it is, not by the file's mode.
            try claim.bound(mode: 0o666)
            addresses.append(.unix(path: path))
        }
        return addresses
    }

    private func listen(_ binding: EventLoopFuture<any Channel>) async throws -> any Channel {
        let listener = try await binding.get()
        listeners.withLock { $0.append(listener) }
        return listener
    }

    /// Listens at each address that the name has.
    private func listen(at host: String, _ configuration: ServerConfiguration) async throws -> [Address] {
        let resolved = try await ListenAddresses.resolve(host, port: configuration.port)
        let remote = resolved.compactMap(\.ipAddress).first { !NetworkHost.isLoopback($0) }
        if let remote, !configuration.clients.allowsRemote { throw RemoteListenAddress(host: host, address: remote) }
        let isOneOfSeveral = resolved.count > 1
        let bound = try await ListenAddresses.bind(
            resolved,
            with: { address in
                var bootstrap = bootstrap()
                // Else the unspecified address of IPv6 would take the port of IPv4, too.
                if isOneOfSeveral, case .v6 = address {
                    let only = ChannelOptions.Types.SocketOption(level: .ipv6, name: .ipv6_v6only)
                    bootstrap = bootstrap.serverChannelOption(only, value: 1)
                }
                return try await bootstrap.bind(to: address).get()
            },
            port: { $0.localAddress?.port },
            close: { try? await $0.close() }
        )
        for address in bound.absent {
            logger.notice(
                "an address of listen.address is not one of this host's",
                metadata: ["address": "\(address.ipAddress ?? host)", "name": "\(host)"]
            )
        }
        listeners.withLock { $0 += bound.listeners }
        return bound.listeners.map { listener in
            let address = listener.localAddress
            return .tcp(host: address?.ipAddress ?? host, port: address?.port ?? configuration.port)
        }
    }

    private func bootstrap() -> ServerBootstrap {
        let gate = gate
        let (loops, count) = (loops, ConnectionCount(server: self))
        return ServerBootstrap(group: group)
            .serverChannelOption(.backlog, value: Self.backlog)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .serverChannelOption(.maxMessagesPerRead, value: Self.maxAcceptsPerTurn)
            .serverChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(AcceptGateHandler(gate))
                }
            }
            .childChannelOption(.allowRemoteHalfClosure, value: true)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    guard count.admit(channel) else { return }
                    let core = count.server.core
                    try channel.pipeline.syncOperations.addHandler(
                        ConnectionHandler(
                            server: core,
                            loop: loops.context(of: channel.eventLoop),
                            router: core.router,
                            peer: ConnectionPeer(channel)
                        )
                    )
                }
            }
    }

    /// Takes other bounds and habits, without closing a connection; addresses stay what they are.
    ///
    /// Requests that are being served end under those that they began with; `maxHeadBytes` is for new connections.
    package func reload(_ configuration: ServerConfiguration) async {
        let core = current.withLock { current in
            current = current.with(configuration)
            return current
        }
        await loops.adopt(core)
    }

    /// Reads that wait for another one's reply just now.
    package var waitingReads: Int { core.reads.waiting }

    /// Reads that shared another one's reply, ever.
    package var collapsedReads: UInt64 { core.reads.collapsed }

    /// What was answered so far, summed up over the event loops.
    package func requestCounts() async -> RequestCounts { await loops.requestCounts() }

    /// Connections that could not be accepted, for want of a descriptor or of memory.
    package var acceptFailures: UInt64 { gate.failures }

    /// Connections that may be open at a time, as descriptors allow it.
    package var maxConnections: Int { core.configuration.maxConnections }

    /// Connections that are open.
    package var openConnections: Int { connectionCount.load(ordering: .relaxed) }

    /// Keeps connections under `listen.max_connections`.
    private struct ConnectionCount: Sendable {
        let server: ProxyServer

        func admit(_ channel: any Channel) -> Bool {
            let (_, count) = server.connectionCount.add(1, ordering: .relaxed)
            channel.closeFuture.whenComplete { _ in
                server.connectionCount.subtract(1, ordering: .relaxed)
            }
            guard count > server.core.configuration.maxConnections else { return true }
            var reply = server.core.errors.reply(
                503,
                "too_many_connections",
                "The relay has listen.max_connections open",
                retryAfterSeconds: 1,
                for: RequestSummary(method: "", path: "")
            )
            reply.mustClose = true
            var buffer = channel.allocator.buffer(capacity: 512)
            let date = HTTPDate.format(RelayClock.wallMilliseconds() / 1000)
            reply.write(to: &buffer, date: date, isHead: false, connection: "close")
            channel.writeAndFlush(buffer).whenComplete { _ in channel.close(promise: nil) }
            return false
        }
    }

    // MARK: - The end

    /// Takes no new connections; those that are open end with the request that they serve, or with their next one.
    ///
    /// Connections that were accepted are served. What waits to be accepted at a socket that was passed to the server
    /// stays there for its next owner.
    package func quiesce() async {
        gate.stop()
        let listeners = listeners.withLock { $0 }
        for listener in listeners { try? await listener.setOption(.autoRead, value: false).get() }
        // A connection that was just accepted is on its way to its own event loop and back; a listener that is closed
        // meanwhile would take it along.
        await loops.quiesce()
        for listener in listeners { try? await listener.eventLoop.submit {}.get() }
        await loops.quiesce()
        for listener in listeners { try? await listener.close() }
        claims.withLock { claims in
            for claim in claims { claim.release() }
            claims = []
        }
    }

    /// Returns when no connection is open any more, or when the deadline has passed.
    ///
    /// - Returns: The number of connections that were still open, and have now been closed.
    package func closeConnections(deadline: ContinuousClock.Instant) async -> Int {
        let began = ContinuousClock.now
        while openConnections > 0, ContinuousClock.now < deadline {
            try? await Task.sleep(for: .milliseconds(10))
            let waited = began.duration(to: .now)
            if waited >= Self.idleGrace { await loops.endIdle(includingNew: waited >= Self.newGrace) }
        }
        let left = openConnections
        await loops.stop()
        return left
    }
}

/// The context of each event loop, made on the loop and used there only.
struct LoopContexts: Sendable {
    private let contexts: [ObjectIdentifier: NIOLoopBound<EventLoopContext>]

    init(_ group: MultiThreadedEventLoopGroup, wallSeconds: @escaping @Sendable () -> Int64) async throws {
        var contexts: [ObjectIdentifier: NIOLoopBound<EventLoopContext>] = [:]
        for loop in group.makeIterator() {
            contexts[ObjectIdentifier(loop)] = try await loop.submit {
                let context = EventLoopContext(eventLoop: loop, wallSeconds: wallSeconds)
                context.start()
                return NIOLoopBound(context, eventLoop: loop)
            }.get()
        }
        self.contexts = contexts
    }

    /// The context of the event loop that this is called on.
    func context(of eventLoop: any EventLoop) -> EventLoopContext {
        guard let bound = contexts[ObjectIdentifier(eventLoop)] else {
            preconditionFailure("a connection belongs to a loop of the server's group")
        }
        return bound.value
    }

    func quiesce() async {
        await onEachLoop { context in
            for connection in Array(context.connections.values) { connection.quiesce() }
        }
    }

    func adopt(_ core: ServerCore) async {
        await onEachLoop { context in
            for connection in context.connections.values { connection.adopt(core, router: core.router) }
        }
    }

    func endIdle(includingNew isNew: Bool) async {
        await onEachLoop { context in
            for connection in Array(context.connections.values) { connection.endIdle(includingNew: isNew) }
        }
    }

    func stop() async {
        await onEachLoop { context in
            context.stop()
            for connection in Array(context.connections.values) { connection.close() }
        }
    }

    func requestCounts() async -> RequestCounts {
        var sum = RequestCounts()
        for bound in contexts.values {
            if let counts = try? await bound.eventLoop.submit({ bound.value.requestCounts }).get() { sum += counts }
        }
        return sum
    }

    private func onEachLoop(_ body: @escaping @Sendable (EventLoopContext) -> Void) async {
        for bound in contexts.values {
            try? await bound.eventLoop.submit { body(bound.value) }.get()
        }
    }
}
