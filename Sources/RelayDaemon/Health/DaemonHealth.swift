import AdminAPI
import DexatelAPI
import Foundation
import Outbox
import ProxyServer
import ResponseCache
import Synchronization
import Upstream

/// Looks at the parts of the daemon for health checks, the status and the status line.
final class DaemonHealth: HealthSource {
    private let outbox: Outbox
    private let upstream: UpstreamHealth
    private let configuration: ConfigurationState
    private let startedAtMilliseconds = RelayClock.wallMilliseconds()
    private let cache: MemoryCache
    private let disk: DiskCache?
    private let log: RelayLog
    private let server = Mutex<WeakServer>(WeakServer())
    private let readySince: Mutex<(isReady: Bool, sinceMilliseconds: Int64)>

    private let watch = Mutex<LivenessWatch?>(nil)
    private let webhook = Mutex<DeadWriteWebhook?>(nil)

    private struct WeakServer: Sendable { weak var server: ProxyServer? }

    init(
        outbox: Outbox,
        upstream: UpstreamHealth,
        configuration: ConfigurationState,
        cache: MemoryCache,
        disk: DiskCache?,
        log: RelayLog
    ) {
        self.log = log
        self.disk = disk
        self.cache = cache
        self.outbox = outbox
        self.upstream = upstream
        self.configuration = configuration
        readySince = Mutex((true, startedAtMilliseconds))
    }

    /// Tells where to ask for connections and requests, once there is a server.
    func setServer(_ server: ProxyServer) {
        self.server.withLock { $0.server = server }
    }

    /// Says who watches the parts, once there is somebody.
    func setWatch(_ watch: LivenessWatch) {
        self.watch.withLock { $0 = watch }
    }

    /// Tells who tells deaths, if somebody does.
    func setWebhook(_ webhook: DeadWriteWebhook?) {
        self.webhook.withLock { $0 = webhook }
    }

    private var currentServer: ProxyServer? { server.withLock { $0.server } }

    func live() -> HealthReport {
        if let watch = watch.withLock({ $0 }) { return watch.report() }
        return HealthReport(sinceMilliseconds: startedAtMilliseconds, checks: Liveness.Verdict.alive.checks())
    }

    func ready() -> HealthReport {
        var commits = HealthReport.Check(name: "outbox", isOK: true)
        var files = HealthReport.Check(name: "outbox_files", isOK: true)
        switch outbox.health {
        case .working: break
        case .diskLow(let freeBytes):
            (commits.isOK, commits.detail) = (false, "only \(freeBytes) bytes are free on the disk; writes are refused")
        case .failed(let message): (commits.isOK, commits.detail) = (false, message)
        case .filesLost(let message): (files.isOK, files.detail) = (false, "\(message); writes are refused")
        }
        let isReady = commits.isOK && files.isOK
        let since = readySince.withLock { state in
            if state.isReady != isReady { state = (isReady, RelayClock.wallMilliseconds()) }
            return state.sinceMilliseconds
        }
        // The upstream is not looked at: the relay is there for when it is not (§7).
        return HealthReport(sinceMilliseconds: since, checks: [commits, files])
    }

    func status() async -> RelayStatus {
        let snapshot = upstream.snapshot()
        let now = RelayClock.wallMilliseconds()
        let outboxStatus = await outbox.status()
        var relay = RelayStatus(
            daemon: RelayStatus.Daemon(
                version: RelayVersion.text,
                pid: getpid(),
                startedAt: RFC3339.text(millisecondsSinceEpoch: startedAtMilliseconds),
                connections: currentServer?.openConnections ?? 0
            ),
            upstream: RelayStatus.Upstream(
                url: configuration.configuration.upstream.url,
                state: snapshot.state,
                reachable: snapshot.isReachable,
                since: RFC3339.text(millisecondsSinceEpoch: snapshot.sinceUnixMilliseconds),
                sinceMilliseconds: max(0, now - snapshot.sinceUnixMilliseconds),
                nextTryMilliseconds: snapshot.nextProbeMilliseconds,
                consecutiveFailures: snapshot.consecutiveFailures,
                lastError: snapshot.lastError
            ),
            outbox: Self.outbox(outboxStatus),
            cache: cacheStatus(),
            webhook: await webhook.withLock { $0 }?.status(),
            configuration: configuration.status
        )
        relay.daemon.logLinesDropped = log.droppedLines
        relay.daemon.maxConnections = currentServer?.maxConnections
        relay.daemon.acceptFailures = currentServer?.acceptFailures
        relay.upstream.concurrencyLimit = snapshot.concurrencyLimit
        relay.upstream.transitions = RelayStatus.Upstream.Transitions(
            closed: snapshot.transitions.closed,
            open: snapshot.transitions.open,
            halfOpen: snapshot.transitions.halfOpen
        )
        return relay
    }

    /// What a daemon that stops waits for, in words.
    var underWay: String {
        let (connections, attempts) = (currentServer?.openConnections ?? 0, outbox.attemptsUnderWay)
        let pending = outbox.committedCounts.pending
        return "\(connections) connections and \(attempts) deliveries under way, "
            + "\(StatusLine.grouped(pending)) pending writes stay for the next start"
    }

    /// How the daemon does, in one line.
    func statusLine() async -> String { StatusLine(await status()).description }

    func cacheStatus() -> RelayStatus.Cache {
        let counters = cache.counters
        var status = RelayStatus.Cache(maxBytes: cache.configuration.memoryBytes)
        status.entries = counters.entries
        status.bytes = counters.bytes
        status.hits = counters.hits
        status.stale = counters.stale
        status.staleOnError = counters.staleOnError
        status.misses = counters.misses
        status.validations = counters.validations
        status.revalidated = counters.revalidated
        status.stored = counters.stored
        status.evicted = counters.evicted
        status.invalidated = counters.invalidated
        status.waiting = currentServer?.waitingReads ?? 0
        status.collapsed = currentServer?.collapsedReads ?? 0
        status.disk = disk.map { diskStatus($0.counters) }
        return status
    }

    private func diskStatus(_ counters: DiskCacheCounters) -> RelayStatus.Cache.Disk {
        var status = RelayStatus.Cache.Disk(maxBytes: cache.configuration.diskBytes)
        status.isAvailable = counters.isAvailable
        status.entries = counters.replies
        status.bytes = counters.bytes
        status.lookups = counters.lookups
        status.found = counters.found
        status.dropped = counters.dropped
        status.failures = counters.failures
        return status
    }

    func metricsDocument() async -> [UInt8] {
        let requests = await currentServer?.requestCounts() ?? RequestCounts()
        return MetricsDocument(status: await status(), requests: requests).rendered()
    }

    func statusDocument() async -> [UInt8] {
        // The messages are plain structs of numbers and strings: they always encode.
        (try? AdminJSON.encode(await status())).map(Array.init) ?? Array("{}".utf8)
    }

    private static func transitions(_ counted: WriteTransitions) -> RelayStatus.Outbox.Transitions {
        var transitions = RelayStatus.Outbox.Transitions()
        transitions.delivered = counted.delivered
        transitions.rejected = counted.rejected
        transitions.superseded = counted.superseded
        transitions.dead = counted.dead
        transitions.discarded = counted.discarded
        transitions.retried = counted.retried
        transitions.attempts.delivered = counted.attempts.delivered
        transitions.attempts.refused = counted.attempts.refused
        transitions.attempts.held = counted.attempts.held
        transitions.attempts.unready = counted.attempts.unready
        transitions.attempts.failed = counted.attempts.failed
        return transitions
    }

    private static func outbox(_ status: OutboxStatus) -> RelayStatus.Outbox {
        var outbox = RelayStatus.Outbox()
        switch status.health {
        case .working: break
        case .diskLow(let freeBytes): (outbox.state, outbox.detail) = ("disk_low", "\(freeBytes) bytes are free")
        case .failed(let message): (outbox.state, outbox.detail) = ("failed", message)
        case .filesLost(let message): (outbox.state, outbox.detail) = ("files_lost", message)
        }
        outbox.accepted = status.counts.accepted
        outbox.pending = status.counts.pending
        outbox.inFlight = Int64(status.inFlight)
        outbox.held = status.counts.held
        outbox.delivered = status.counts.delivered
        outbox.rejected = status.counts.rejected
        outbox.superseded = status.counts.superseded
        outbox.dead = status.counts.dead
        outbox.discarded = status.counts.discarded
        outbox.damaged = status.counts.damaged
        outbox.storedBytes = status.counts.storedBytes
        outbox.waiting = status.waiting
        outbox.sinceStart = transitions(status.transitions)
        outbox.oldestPendingMilliseconds = status.oldestPendingAgeMilliseconds
        outbox.deliveriesPaused = status.pause != .none
        outbox.deliveriesPausedBy = status.pause == .none ? nil : status.pause == .deaths ? "deaths" : "operator"
        outbox.upstreamPausedMilliseconds = status.upstreamPauseMilliseconds
        return outbox
    }
}
