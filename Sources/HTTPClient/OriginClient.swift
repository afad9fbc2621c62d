package import NIOCore
import NIOPosix
import Synchronization

/// An HTTP/1.1 client of one origin.
///
/// Each event loop has a pool of its own, and an exchange lives on one loop from beginning to end. Nothing is followed,
/// decompressed or kept but connections; a safe request is sent a second time if the first went to a connection that
/// its peer was just closing (RFC 9110 §9.2.2), and no other is.
package final class OriginClient: Sendable {
    private struct Shard: Sendable {
        let eventLoop: any EventLoop
        let pool: NIOLoopBoundBox<LoopPool>
        let load: PoolLoad
    }

    /// Fewer connections to a loop would leave too little for the shares of the classes.
    private static let minPlacesOfLoop = 8

    /// How the origin is reached.
    package let configuration: OriginConfiguration
    private let shards: [Shard]
    private let isShutDown = Atomic<Bool>(false)

    /// Makes a client; no connection is made before the first request.
    package init(
        _ configuration: OriginConfiguration,
        eventLoopGroup: any EventLoopGroup = MultiThreadedEventLoopGroup.singleton
    ) {
        self.configuration = configuration
        let places = max(1, configuration.maxConnections)
        let loops = Array(eventLoopGroup.makeIterator().prefix(max(1, places / Self.minPlacesOfLoop)))
        self.shards = loops.enumerated().map { index, eventLoop in
            let load = PoolLoad()
            let pool = LoopPool(
                configuration,
                places: places / loops.count + (index < places % loops.count ? 1 : 0),
                maxWaiting: (configuration.maxWaiting + loops.count - 1) / loops.count,
                eventLoop,
                load
            )
            return Shard(
                eventLoop: eventLoop,
                pool: NIOLoopBoundBox.makeBoxSendingValue(pool, eventLoop: eventLoop),
                load: load
            )
        }
    }

    deinit {
        // After a shutdown nothing is left, and the event loops may be gone.
        if !self.isShutDown.load(ordering: .acquiring) { self.retire() }
    }

    /// Exchanges that are under way or wait for a connection.
    package var exchanges: Int { self.shards.reduce(0) { $0 + $1.load.exchanges } }

    /// The loop that has the pool for a caller on `eventLoop`: its own one if possible, so that no hop is needed.
    package func eventLoop(nearest eventLoop: any EventLoop) -> any EventLoop {
        self.shards.first { $0.eventLoop === eventLoop }?.eventLoop ?? self.leastLoaded.eventLoop
    }

    /// The loop whose pool has the fewest exchanges.
    package var leastLoadedLoop: any EventLoop { self.leastLoaded.eventLoop }

    /// Divides exchanges that are to begin together among the loops, so that these come out even.
    package func divide(_ count: Int) -> [(eventLoop: any EventLoop, count: Int)] {
        guard self.shards.count > 1 else { return [(self.shards[0].eventLoop, count)] }
        var loads = self.shards.map(\.load.exchanges)
        var counts = loads.map { _ in 0 }
        for _ in 0..<count {
            guard let index = loads.indices.min(by: { loads[$0] < loads[$1] }) else { break }
            loads[index] += 1
            counts[index] += 1
        }
        return zip(self.shards, counts).filter { $0.1 > 0 }.map { ($0.0.eventLoop, $0.1) }
    }

    private var leastLoaded: Shard {
        guard self.shards.count > 1 else { return self.shards[0] }
        return self.shards.min { $0.load.exchanges < $1.load.exchanges } ?? self.shards[0]
    }

    // MARK: - On the event loop

    /// Sends a request from the event loop that has one of the pools (``eventLoop(nearest:)``).
    ///
    /// - Parameters:
    ///   - request: The request.
    ///   - timeout: How long the whole exchange may take; without one, the configuration's `requestTimeout` bounds how
    ///     long it may stand still.
    ///   - delegate: Takes what becomes of it; it may be called before this returns.
    ///   - eventLoop: The loop that this is called on.
    ///   - made: Takes the exchange before anything else happens to it.
    /// - Throws: What cannot be written as HTTP.
    @discardableResult
    package func begin(
        _ request: OutboundRequest,
        timeout: TimeAmount?,
        delegate: any ExchangeDelegate,
        on eventLoop: any EventLoop,
        made: (Exchange) -> Void = { _ in }
    ) throws(ExchangeFailure) -> Exchange {
        let rendered = try RenderedRequest(request, authority: self.configuration.authority)
        guard let shard = self.shards.first(where: { $0.eventLoop === eventLoop }) else {
            preconditionFailure("the event loop has no pool")
        }
        return shard.pool.value.begin(rendered, delegate, self.patience(timeout), then: made)
    }

    private func patience(_ timeout: TimeAmount?) -> Exchange.Patience {
        timeout.map { .whole(until: .now() + $0) } ?? .standstill(self.configuration.requestTimeout)
    }

    // MARK: - From anywhere

    /// Keeps no connection from now on; exchanges under way end as they began.
    package func retire() {
        for shard in self.shards { shard.eventLoop.execute { [pool = shard.pool] in pool.value.retire() } }
    }

    /// Ends all exchanges with a failure and closes all connections.
    ///
    /// Shutting down twice does no harm.
    package func shutdown() async {
        for shard in self.shards {
            await withCheckedContinuation { continuation in
                shard.eventLoop.execute { [pool = shard.pool] in
                    pool.value.shutDown { continuation.resume() }
                }
            }
        }
        self.isShutDown.store(true, ordering: .releasing)
    }
}
