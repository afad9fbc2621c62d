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
    /// Where it was asked for.
    let disk: DiskCache?
    let overlay: PendingOverlay

    static let quietLogger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }

    /// - Parameters:
    ///   - upstream: Where the client sends to; the default is a port on which nobody listens.
    ///   - folder: A state directory whose cache on disk is used, too.
    init(
        upstream: String = "http://127.0.0.1:9",
        over folder: TemporaryDirectory? = nil,
        deliversAtOnce: Bool = false,
        cache cacheConfiguration: CacheConfiguration = CacheConfiguration(),
        clock: ReadClock = ReadClock(),
        semantics: PutSemantics = .unknown,
        maxDelivered: Int = PendingOverlay.maxDelivered,
        maxLookups: Int = DiskCache.maxLookups,
        group: MultiThreadedEventLoopGroup = .singleton,
        adjust: (inout UpstreamConfiguration) -> Void = { _ in }
    ) throws {
        directory = try folder ?? TemporaryDirectory()
        transport = GatedTransport(isOpen: deliversAtOnce)
        outbox = try Outbox.open(
            OutboxConfiguration(stateDirectory: directory.path),
            transport: transport,
            backoffMilliseconds: { _ in 1 },
            logger: Self.quietLogger
        )
        var configuration = UpstreamConfiguration(url: try UpstreamURL(upstream))
        adjust(&configuration)
        client = UpstreamClient(configuration: configuration, eventLoopGroup: group)
        var breaker = BreakerConfiguration()
        // Open is open until the test ends, however slow the machine is.
        breaker.minOpenInterval = .seconds(3_600)
        upstreamHealth = UpstreamHealth(configuration: breaker, logger: Self.quietLogger)
        disk = folder.map {
            DiskCache(
                path: $0.path + "/cache.sqlite",
                // Tests lose their upstream by naming another.
                origin: "https://api.example",
                maxBytes: cacheConfiguration.diskBytes,
                clock: CacheClock(
                    monotonicMilliseconds: clock.milliseconds,
                    wallMilliseconds: { clock.unixSeconds() * 1000 }
                ),
                maxLookups: maxLookups,
                lingerMilliseconds: 1,
                logger: Self.quietLogger
            )
        }
        cache = MemoryCache(cacheConfiguration, journal: disk?.journal)
        overlay = PendingOverlay(cache: cache, semantics: semantics, clock: clock, maxDelivered: maxDelivered)
        outbox.setChangeObserver(overlay)
        disk?.start(cache)
        disk?.setAdmission { [overlay] in overlay.admits($0, $1) }
        if let delivered = disk?.delivered { overlay.restore(delivered) }
    }

    func core(_ configuration: ServerConfiguration = ServerConfiguration()) -> ServerCore {
        ServerCore(
            configuration: configuration,
            outbox: outbox,
            client: client,
            upstreamHealth: upstreamHealth,
            health: QuietHealth(),
            reads: ReadParts(cache: cache, disk: disk, overlay: overlay, clock: ReadClock(), maxWaiters: 1024),
            errors: RelayErrors(wallSeconds: { 784_111_777 })
        )
    }

    func end() async {
        outbox.stop()
        await outbox.run()
        await outbox.close()
        await disk?.close(keeping: overlay.record)
        await client.shutdown()
    }
}

/// Runs a server on a loopback port for the length of a test.
///
/// - Parameters:
///   - folder: A state directory that outlives the server, with a cache on disk.
///   - sharesLoops: Whether connections to the upstream may live on the event loop of the clients' connections, as in the
///     daemon.
///   - adjust: Changes the configurations before anything starts.
func withServer(
    upstream: String,
    over folder: TemporaryDirectory? = nil,
    deliversAtOnce: Bool = false,
    cache: CacheConfiguration = CacheConfiguration(),
    clock: ReadClock = ReadClock(),
    semantics: PutSemantics = .unknown,
    maxDelivered: Int = PendingOverlay.maxDelivered,
    maxLookups: Int = DiskCache.maxLookups,
    sharesLoops: Bool = true,
    adjust: (inout ServerConfiguration, inout UpstreamConfiguration) -> Void = { _, _ in },
    _ body: (_ port: Int, _ parts: TestParts) async throws -> Void
) async throws {
    var configuration = ServerConfiguration()
    configuration.port = 0
    let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
    let parts = try TestParts(
        upstream: upstream,
        over: folder,
        deliversAtOnce: deliversAtOnce,
        cache: cache,
        clock: clock,
        semantics: semantics,
        maxDelivered: maxDelivered,
        maxLookups: maxLookups,
        group: sharesLoops ? group : .singleton
    ) { adjust(&configuration, &$0) }
    let server = try await ProxyServer(
        configuration: configuration,
        outbox: parts.outbox,
        client: parts.client,
        upstreamHealth: parts.upstreamHealth,
        cache: parts.cache,
        disk: parts.disk,
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
    await parts.disk?.close(keeping: parts.overlay.record)
    await parts.client.shutdown()
    try await group.shutdownGracefully()
    if let failure { throw failure }
}
