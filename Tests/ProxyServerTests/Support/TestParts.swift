import DexatelAPI
import Foundation
import Logging
import NIOCore
import NIOPosix
import Outbox
import ResponseCache
import Upstream

@testable import ProxyServer

/// A state directory that is removed with its last owner.
final class TemporaryDirectory: Sendable {
    let path = FileManager.default.temporaryDirectory.path + "/proxy-tests-" + UUID().uuidString

    init() throws { try Outbox.makeStateDirectory(path) }

    deinit { try? FileManager.default.removeItem(atPath: path) }
}

/// What a server needs besides itself, over a state directory of its own.
struct TestParts: Sendable {
    let directory: TemporaryDirectory
    let transport: GatedTransport
    let outbox: Outbox
    let client: UpstreamClient
    let upstreamHealth: UpstreamHealth
    let cache: MemoryCache
    let overlay: PendingOverlay

    static let quietLogger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }

    /// - Parameter upstream: Where the client sends to; the default is a port on which nobody listens.
    init(
        upstream: String = "http://127.0.0.1:9",
        deliversAtOnce: Bool = false,
        cache cacheConfiguration: CacheConfiguration = CacheConfiguration(),
        clock: ReadClock = ReadClock(),
        semantics: PutSemantics = .unknown,
        maxDelivered: Int = PendingOverlay.maxDelivered,
        adjust: (inout UpstreamConfiguration) -> Void = { _ in }
    ) throws {
        directory = try TemporaryDirectory()
        transport = GatedTransport(isOpen: deliversAtOnce)
        outbox = try Outbox.open(
            OutboxConfiguration(stateDirectory: directory.path),
            transport: transport,
            backoffMilliseconds: { _ in 1 },
            logger: Self.quietLogger
        )
        var configuration = UpstreamConfiguration(url: try UpstreamURL(upstream))
        adjust(&configuration)
        client = UpstreamClient(configuration: configuration)
        var breaker = BreakerConfiguration()
        // Open is open until the test ends, however slow the machine is.
        breaker.minOpenInterval = .seconds(3_600)
        upstreamHealth = UpstreamHealth(configuration: breaker, logger: Self.quietLogger)
        cache = MemoryCache(cacheConfiguration)
        overlay = PendingOverlay(cache: cache, semantics: semantics, clock: clock, maxDelivered: maxDelivered)
        outbox.setChangeObserver(overlay)
    }

    func core(_ configuration: ServerConfiguration = ServerConfiguration()) -> ServerCore {
        ServerCore(
            configuration: configuration,
            outbox: outbox,
            client: client,
            upstreamHealth: upstreamHealth,
            health: QuietHealth(),
            reads: ReadParts(cache: cache, overlay: overlay, clock: ReadClock(), maxWaiters: 1024),
            errors: RelayErrors(wallSeconds: { 784_111_777 })
        )
    }

    func end() async {
        outbox.stop()
        await outbox.run()
        await outbox.close()
        await client.shutdown()
    }
}

/// Runs a server on a loopback port for the length of a test.
///
/// - Parameter adjust: Changes the configurations before anything starts.
func withServer(
    upstream: String,
    deliversAtOnce: Bool = false,
    cache: CacheConfiguration = CacheConfiguration(),
    clock: ReadClock = ReadClock(),
    semantics: PutSemantics = .unknown,
    maxDelivered: Int = PendingOverlay.maxDelivered,
    adjust: (inout ServerConfiguration, inout UpstreamConfiguration) -> Void = { _, _ in },
    _ body: (_ port: Int, _ parts: TestParts) async throws -> Void
) async throws {
    var configuration = ServerConfiguration()
    configuration.port = 0
    let parts = try TestParts(
        upstream: upstream,
        deliversAtOnce: deliversAtOnce,
        cache: cache,
        clock: clock,
        semantics: semantics,
        maxDelivered: maxDelivered
    ) { adjust(&configuration, &$0) }
    let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
    let server = try await ProxyServer(
        configuration: configuration,
        outbox: parts.outbox,
        client: parts.client,
        upstreamHealth: parts.upstreamHealth,
        cache: parts.cache,
        overlay: parts.overlay,
        health: QuietHealth(),
        clock: clock,
        group: group,
        logger: TestParts.quietLogger
    )
    let outbox = parts.outbox
    let deliveries = Task { await outbox.run() }
    var failure: (any Error)?
    do {
        guard case .tcp(_, let port)? = try await server.start().first else { preconditionFailure("TCP comes first") }
        try await body(port, parts)
    } catch {
        failure = error
    }
    await server.quiesce()
    _ = await server.closeConnections(deadline: .now)
    outbox.stop()
    await deliveries.value
    await outbox.close()
    await parts.client.shutdown()
    try await group.shutdownGracefully()
    if let failure { throw failure }
}
