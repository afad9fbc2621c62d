import AdminAPI
import DexatelAPI
import Foundation
import Outbox
import ProxyServer
import Synchronization
import Upstream

/// Looks at the parts of the daemon for health checks, the status and the status line.
final class DaemonHealth: HealthSource {
    private let outbox: Outbox
    private let upstream: UpstreamHealth
    private let upstreamURL: String
    private let startedAtMilliseconds = RelayClock.wallMilliseconds()
    private let connections = Mutex<@Sendable () -> Int>({ 0 })
    private let readySince: Mutex<(isReady: Bool, sinceMilliseconds: Int64)>

    init(outbox: Outbox, upstream: UpstreamHealth, upstreamURL: String) {
        self.outbox = outbox
        self.upstream = upstream
        self.upstreamURL = upstreamURL
        readySince = Mutex((true, startedAtMilliseconds))
    }

    /// Tells where to ask for the number of open connections, once there is a server.
    func setConnectionCount(_ count: @escaping @Sendable () -> Int) {
        connections.withLock { $0 = count }
    }

    func live() -> HealthReport {
        // Whoever reads this has been answered by an event loop.
        HealthReport(
            sinceMilliseconds: startedAtMilliseconds,
            checks: [HealthReport.Check(name: "event_loop", isOK: true)]
        )
    }

    func ready() -> HealthReport {
        let check: HealthReport.Check
        switch outbox.health {
        case .working: check = HealthReport.Check(name: "outbox", isOK: true)
        case .diskLow(let freeBytes):
            check = HealthReport.Check(
                name: "outbox",
                isOK: false,
                detail: "only \(freeBytes) bytes are free on the disk; writes are refused"
            )
        case .failed(let message): check = HealthReport.Check(name: "outbox", isOK: false, detail: message)
        }
        let since = readySince.withLock { state in
            if state.isReady != check.isOK { state = (check.isOK, RelayClock.wallMilliseconds()) }
            return state.sinceMilliseconds
        }
        // The upstream is not looked at: the relay is there for when it is not (§7).
        return HealthReport(sinceMilliseconds: since, checks: [check])
    }

    func status() async -> RelayStatus {
        let snapshot = upstream.snapshot()
        let now = RelayClock.wallMilliseconds()
        let outboxStatus = await outbox.status()
        return RelayStatus(
            daemon: RelayStatus.Daemon(
                version: RelayVersion.text,
                pid: getpid(),
                startedAt: RFC3339.text(millisecondsSinceEpoch: startedAtMilliseconds),
                connections: connections.withLock { $0 }()
            ),
            upstream: RelayStatus.Upstream(
                url: upstreamURL,
                state: snapshot.state,
                reachable: snapshot.isReachable,
                since: RFC3339.text(millisecondsSinceEpoch: snapshot.sinceUnixMilliseconds),
                sinceMilliseconds: max(0, now - snapshot.sinceUnixMilliseconds),
                nextTryMilliseconds: snapshot.nextProbeMilliseconds,
                consecutiveFailures: snapshot.consecutiveFailures,
                lastError: snapshot.lastError
            ),
            outbox: Self.outbox(outboxStatus, now: now)
        )
    }

    func statusDocument() async -> [UInt8] {
        // The messages are plain structs of numbers and strings: they always encode.
        (try? AdminJSON.encode(await status())).map(Array.init) ?? Array("{}".utf8)
    }

    private static func outbox(_ status: OutboxStatus, now: Int64) -> RelayStatus.Outbox {
        var outbox = RelayStatus.Outbox()
        switch status.health {
        case .working: break
        case .diskLow(let freeBytes): (outbox.state, outbox.detail) = ("disk_low", "\(freeBytes) bytes are free")
        case .failed(let message): (outbox.state, outbox.detail) = ("failed", message)
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
        outbox.storedBytes = status.counts.storedBytes
        outbox.waiting = status.waiting
        outbox.oldestPendingMilliseconds = status.oldestPendingAcceptedAtMilliseconds.map { max(0, now - $0) }
        return outbox
    }
}
