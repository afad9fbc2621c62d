import AdminAPI
import Testing

@testable import contact_relay

/// The status as operators see it.
@Suite struct StatusPageTests {
    private func status() -> RelayStatus {
        var status = RelayStatus(
            daemon: .init(version: "1.2.3", pid: 42, startedAt: "2026-01-02T03:04:05.678Z", connections: 3),
            upstream: .init(
                url: "https://api.dexatel.com",
                state: "open",
                reachable: false,
                since: "2026-01-02T03:04:05.678Z",
                sinceMilliseconds: 240_000,
                nextTryMilliseconds: 12_000,
                consecutiveFailures: 7,
                lastError: String(repeating: "unreachable ", count: 10)
            ),
            outbox: .init(),
            cache: .init(maxBytes: 64 << 20)
        )
        status.outbox.pending = 1_204
        status.outbox.dead = 3
        status.outbox.oldestPendingMilliseconds = 240_000
        status.cache?.disk = .init(maxBytes: 512 << 20)
        return status
    }

    @Test func `a status fits a terminal of 80 columns and 24 lines`() throws {
        var later = status()
        later.outbox.accepted = 1_000
        let rates = try #require(StatusRates(from: status(), to: later, seconds: 2))
        let lines = StatusPage(later, rates: rates).text.split(separator: "\n", omittingEmptySubsequences: false)
        #expect(lines.count < 24)
        for line in lines { #expect(line.count <= 80, "\(line)") }
        #expect(lines[1].hasPrefix("upstream down 4 min, next try in 12 s; 1 204 pending, oldest 4 min"))
        #expect(lines.contains { $0.contains("500 accepted/s, 0.0 delivered/s, 0.0 reads/s") })
        #expect(lines.contains { $0.contains("OFF after a failure") })
    }

    @Test func `there are no rates over a restart of the daemon, or without time`() {
        var other = status()
        other.daemon.pid = 43
        #expect(StatusRates(from: status(), to: other, seconds: 1) == nil)
        #expect(StatusRates(from: status(), to: status(), seconds: 0) == nil)
    }
}
