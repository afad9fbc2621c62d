import Logging
import Outbox
import ProxyServer
import ResponseCache
import Synchronization
import Upstream

/// Reads the configuration again and hands the parts of the daemon what has changed (design §7).
///
/// Everything is checked before anything is changed: a configuration with a single mistake changes nothing.
actor ConfigurationReload {
    /// The parts that take new values while they run.
    struct Parts: Sendable {
        let server: ProxyServer
        let outbox: Outbox
        let client: UpstreamClient
        let upstreamHealth: UpstreamHealth
        let cache: MemoryCache
        let backoff: CurrentBackoff
        let budget: ShutdownBudget
        let logLevel: LogLevel
        let descriptors: ProcessDescriptors
    }

    private let load: @Sendable () async throws -> RelayConfiguration
    private let state: ConfigurationState
    private let parts: Parts
    private let logger: Logger

    init(
        _ parts: Parts,
        state: ConfigurationState,
        logger: Logger,
        load: @escaping @Sendable () async throws -> RelayConfiguration
    ) {
        (self.parts, self.state, self.logger, self.load) = (parts, state, logger, load)
    }

    /// Takes the configuration as it stands now, or keeps the old one and says why.
    func reload() async {
        do {
            let running = state.configuration
            let change = ConfigurationChange(from: running, to: try await load())
            try await apply(parts.descriptors.fitted(change.effective, logger), running: running)
            state.loaded(change)
            logger.notice(
                "the configuration was reloaded",
                metadata: ["changed": "\(change.changed.isEmpty ? "nothing" : change.changed.joined(separator: ", "))"]
            )
            if !change.needsRestart.isEmpty {
                logger.warning(
                    "some changes of the configuration take effect at the next restart",
                    metadata: ["keys": "\(change.needsRestart.joined(separator: ", "))"]
                )
            }
        } catch {
            let problem = "\(error)".split(separator: "\n").joined(separator: "; ")
            state.failed(problem)
            logger.error(
                "the configuration cannot be reloaded; the old one stays in force",
                metadata: ["error": "\(problem)"]
            )
        }
    }

    private func apply(_ configuration: RelayConfiguration, running: RelayConfiguration) async throws {
        // The only steps that can fail come first.
        let upstream = try configuration.upstreamConfiguration()
        let isOtherUpstream = try UpstreamURL(running.upstream.url) != upstream.url
        parts.logLevel.level = configuration.log.level
        parts.budget.timeout = configuration.shutdown.timeout
        parts.backoff.set(configuration)
        parts.cache.reload(configuration.cacheConfiguration)
        parts.client.reload(upstream)
        parts.upstreamHealth.setMaxConcurrentDeliveries(upstream.maxConcurrentWrites)
        parts.upstreamHealth.setProbeInterval(configuration.upstream.probeInterval)
        if isOtherUpstream {
            parts.upstreamHealth.replaceUpstream()
            // What the old one said, the new one has not said; that it is asked by now is why this comes later.
            parts.cache.beginAnew(with: upstream.url.text)
        }
        parts.outbox.reload(configuration.outboxConfiguration(credentialsDirectory: nil))
        // Its pauses and failures were the old one's.
        if isOtherUpstream { try? await parts.outbox.flush() }
        await parts.server.reload(configuration.serverConfiguration)
    }
}

/// The pauses between attempts, as the configuration in force has them.
final class CurrentBackoff: Sendable {
    private let current: Mutex<@Sendable (Int64) -> Int64>

    init(_ configuration: RelayConfiguration) { current = Mutex(configuration.backoffMilliseconds) }

    func set(_ configuration: RelayConfiguration) {
        let backoff = configuration.backoffMilliseconds
        current.withLock { $0 = backoff }
    }

    /// The full-jitter delay in milliseconds for an attempt count.
    func milliseconds(_ attempt: Int64) -> Int64 { current.withLock { $0 }(attempt) }
}
