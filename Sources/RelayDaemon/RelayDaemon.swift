import DexatelAPI
import Foundation
import Logging
import NIOCore
import NIOPosix
import Outbox
import ProxyServer
import ResponseCache
import ServiceLifecycle
import Systemd
import UnixSignals
import Upstream

/// The daemon: it wires the parts, runs them, and stops them in order.
package struct RelayDaemon: Sendable {
    private let configuration: RelayConfiguration
    private let environment: [String: String]
    private let log: RelayLog
    private let reload: @Sendable () async throws -> RelayConfiguration
    private var logger: Logger { log.logger }

    /// Makes a daemon of this configuration; `run` starts it.
    ///
    /// - Parameter reload: Reads the configuration anew, for SIGHUP.
    package init(
        configuration: RelayConfiguration,
        environment: [String: String],
        log: RelayLog,
        reload: @escaping @Sendable () async throws -> RelayConfiguration
    ) {
        self.configuration = configuration
        self.environment = environment
        self.log = log
        self.reload = reload
    }

    /// Runs until SIGTERM or SIGINT; throws when the daemon cannot start.
    package func run() async throws {
        let signals = await SignalService.trap()
        ProcessProtection.apply()
        let sockets = try PassedSockets(
            SocketActivation.listenDescriptors(),
            allowsRemote: configuration.listen.allowRemote
        )
        try Outbox.makeStateDirectory(configuration.state.directory)
        try StateAccess.check(configuration.state.directory)
        let lock = try StateLock(stateDirectory: configuration.state.directory)
        let descriptors = ProcessDescriptors.raised(eventLoops: Self.eventLoopCount)
        let fitted = try descriptors.fitted(configuration, logger)
        let group = MultiThreadedEventLoopGroup(numberOfThreads: Self.eventLoopCount)
        do {
            try await run(group, sockets.listeners, signals, descriptors, fitted)
        } catch {
            try? await group.shutdownGracefully()
            throw error
        }
        try? await group.shutdownGracefully()
        // Nobody else may open the outbox before this one is closed.
        _ = consume lock
    }

    /// How long a start may go on before systemd's own timeout counts (`TimeoutStartSec=`).
    private static let maxStart: Duration = .seconds(1_800)

    /// Half of the cores: the commit thread and the delivery tasks want the others.
    private static var eventLoopCount: Int { max(1, ProcessInfo.processInfo.activeProcessorCount / 2) }

    private func run(
        _ group: MultiThreadedEventLoopGroup,
        _ passed: PassedListeners,
        _ signals: UnixSignalsSequence,
        _ descriptors: ProcessDescriptors,
        _ fitted: RelayConfiguration
    ) async throws {
        let upstream = try fitted.upstreamConfiguration()
        let client = UpstreamClient(configuration: upstream, eventLoopGroup: group)
        var breaker = BreakerConfiguration(maxConcurrentDeliveries: upstream.maxConcurrentWrites)
        breaker.probeInterval = configuration.upstream.probeInterval
        let upstreamHealth = UpstreamHealth(configuration: breaker, logger: logger)
        let disk = configuration.reads.diskBytes > 0 ? diskCache(of: upstream.url) : nil
        let cache = MemoryCache(configuration.cacheConfiguration, journal: disk?.journal)
        let overlay = PendingOverlay(cache: cache, semantics: configuration.writes.putSemantics)
        let backoff = CurrentBackoff(configuration)
        let outbox: Outbox
        // Checks and migrations take as long as the outbox is large.
        let patience = TimeoutExtension(Notifier(), limit: Self.maxStart) { "starting: opening the outbox" }
        do {
            defer { patience.end() }
            outbox = try Outbox.open(
                fitted.outboxConfiguration(credentialsDirectory: environment["CREDENTIALS_DIRECTORY"]),
                transport: UpstreamDelivery(client: client, health: upstreamHealth, cache: cache, group: group),
                backoffMilliseconds: { backoff.milliseconds($0) },
                logger: logger
            )
        } catch {
            await client.shutdown()
            throw error
        }
        outbox.setChangeObserver(overlay)
        disk?.start(cache)
        disk?.setAdmission { overlay.admits($0, $1) }
        if let delivered = disk?.delivered { overlay.restore(delivered) }
        upstreamHealth.setObserver { snapshot in
            if snapshot.isBelievedHealthy { outbox.upstreamRecovered() } else { outbox.upstreamLost() }
        }
        upstreamHealth.setRetryObserver { outbox.upstreamRecovered() }
        let state = ConfigurationState(configuration)
        let budget = ShutdownBudget(timeout: configuration.shutdown.timeout)
        let health = DaemonHealth(
            outbox: outbox,
            upstream: upstreamHealth,
            configuration: state,
            cache: cache,
            disk: disk,
            log: log
        )
        let webhook = configuration.writes.onDeadURL.flatMap(WebhookURL.init).map {
            DeadWriteWebhook($0, outbox: outbox, group: group, logger: logger)
        }
        health.setWebhook(webhook)
        var services: [any Service]
        do {
            services = try await bind(
                group,
                passed,
                outbox,
                client,
                upstreamHealth,
                Reads(cache: cache, disk: disk, overlay: overlay),
                health,
                Changes(state: state, backoff: backoff, budget: budget, signals: signals, descriptors: descriptors),
                fitted.serverConfiguration
            )
        } catch {
            outbox.stop()
            await outbox.run()
            await outbox.close()
            await disk?.close(keeping: overlay.record)
            await client.shutdown()
            throw error
        }
        // It stops before the outbox, in which it notes what was told.
        if let webhook { services.insert(webhook, at: 2) }
        // They stop in the reverse order: the last word to systemd, then the connections, the deliveries, and the disk of
        // the cache, which both of them change.
        let serviceGroup = ServiceGroup(
            configuration: ServiceGroupConfiguration(
                services: services.map { service in
                    // The end of the signals is the beginning of the end.
                    ServiceGroupConfiguration.ServiceConfiguration(
                        service: service,
                        successTerminationBehavior: service is SignalService ? .gracefullyShutdownGroup : .cancelGroup
                    )
                },
                logger: logger
            )
        )
        try await serviceGroup.run()
        budget.end()
    }

    /// What reads are answered from.
    private struct Reads {
        let cache: MemoryCache
        let disk: DiskCache?
        let overlay: PendingOverlay
    }

    /// What makes the daemon change while it runs.
    private struct Changes {
        let state: ConfigurationState
        let backoff: CurrentBackoff
        let budget: ShutdownBudget
        let signals: UnixSignalsSequence
        let descriptors: ProcessDescriptors
    }

    private func diskCache(of upstream: UpstreamURL) -> DiskCache {
        DiskCache(
            path: configuration.state.directory + "/cache.sqlite",
            origin: upstream.text,
            maxBytes: configuration.reads.diskBytes,
            logger: logger
        )
    }

    private func listen(_ server: ProxyServer, _ passed: PassedListeners) async throws -> [ProxyServer.Address] {
        do {
            return try await server.start(passed)
        } catch let error as IOError {
            let tcp = configuration.listen.address.map { "\($0) port \(configuration.listen.port)" }
            throw ListenFailure(
                address: [tcp, configuration.listen.unixSocket].compactMap { $0 }.joined(separator: " or "),
                errorNumber: error.errnoCode
            )
        }
    }

    private func bind(
        _ group: MultiThreadedEventLoopGroup,
        _ passed: PassedListeners,
        _ outbox: Outbox,
        _ client: UpstreamClient,
        _ upstreamHealth: UpstreamHealth,
        _ reads: Reads,
        _ health: DaemonHealth,
        _ changes: Changes,
        _ serverConfiguration: ServerConfiguration
    ) async throws -> [any Service] {
        let server = try await ProxyServer(
            configuration: serverConfiguration,
            outbox: outbox,
            client: client,
            upstreamHealth: upstreamHealth,
            cache: reads.cache,
            disk: reads.disk,
            overlay: reads.overlay,
            health: health,
            group: group,
            logger: logger
        )
        health.setServer(server)
        let admin = try await AdminServer.bind(
            path: configuration.admin.socket,
            parts: AdminParts(
                outbox: outbox,
                writeRules: { server.writeRules },
                client: client,
                upstreamHealth: upstreamHealth,
                cache: reads.cache,
                disk: reads.disk,
                health: health,
                logger: logger
            ),
            group: group
        )
        for address in try await listen(server, passed) {
            switch address {
            case .tcp(let host, let port):
                let by = passed.tcp.isEmpty ? "relay" : "systemd"
                logger.notice("listening", metadata: ["address": "\(host)", "bound_by": "\(by)", "port": "\(port)"])
            case .unix(let path):
                let by = passed.unix.isEmpty ? "relay" : "systemd"
                logger.notice("listening", metadata: ["bound_by": "\(by)", "unix_socket": "\(path)"])
            }
        }
        let budget = changes.budget
        let counts = outbox.committedCounts
        logger.notice(
            "started",
            metadata: [
                "version": "\(RelayVersion.text)", "upstream": "\(configuration.upstream.url)",
                "state": "\(configuration.state.directory)", "pending": "\(counts.pending)",
            ]
        )
        if let problem = configuration.ownListener {
            logger.error("requests for the upstream come back to the relay", metadata: ["problem": "\(problem)"])
        }
        let reload = ConfigurationReload(
            ConfigurationReload.Parts(
                server: server,
                outbox: outbox,
                client: client,
                upstreamHealth: upstreamHealth,
                cache: reads.cache,
                backoff: changes.backoff,
                budget: budget,
                logLevel: log.level,
                descriptors: changes.descriptors
            ),
            state: changes.state,
            logger: logger,
            load: self.reload
        )
        let notifier = Notifier(waits: false)
        let watch = LivenessWatch(
            watchdog: notifier.watchdogInterval,
            notifier: notifier,
            logger: logger,
            wallMilliseconds: { RelayClock.wallMilliseconds() }
        )
        health.setWatch(watch)
        return [
            DiskCacheService(disk: reads.disk, overlay: reads.overlay),
            OutboxService(outbox: outbox, client: client, budget: budget, logger: logger),
            ServerService(server: server, admin: admin, budget: budget, logger: logger),
            NotifierService(
                notifier: notifier,
                health: health,
                progress: DaemonProgress(group: group, outbox: outbox, configuration: changes.state),
                watch: watch,
                budget: budget
            ),
            UpstreamProbeService(
                client: client,
                health: upstreamHealth,
                configuration: changes.state,
                group: group
            ),
            SignalService(signals: changes.signals, reload: reload, notifier: notifier, health: health),
        ]
    }
}
