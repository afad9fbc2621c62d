import AdminAPI
import ProxyServer
import Testing

@testable import RelayDaemon

/// What Prometheus reads.
@Suite struct MetricsDocumentTests {
    private func status() -> RelayStatus {
        RelayStatus(
            daemon: RelayStatus.Daemon(version: "1", pid: 1, startedAt: "", connections: 0),
            upstream: RelayStatus.Upstream(
                url: "",
                state: "closed",
                reachable: true,
                since: "",
                sinceMilliseconds: 0,
                nextTryMilliseconds: nil,
                consecutiveFailures: 0,
                lastError: nil
            ),
            outbox: RelayStatus.Outbox()
        )
    }

    private func lines(_ status: RelayStatus) -> [String] {
        let bytes = MetricsDocument(status: status, requests: RequestCounts()).rendered()
        return String(decoding: bytes, as: UTF8.self).split(separator: "\n").map(String.init)
    }

    @Test func `what happens to writes, and the breaker's changes, are counters beside the gauges`() {
        var status = status()
        var transitions = RelayStatus.Outbox.Transitions()
        (transitions.delivered, transitions.rejected, transitions.superseded) = (1, 2, 3)
        (transitions.dead, transitions.discarded, transitions.retried) = (4, 5, 6)
        (transitions.attempts.delivered, transitions.attempts.refused, transitions.attempts.held) = (7, 8, 9)
        (transitions.attempts.unready, transitions.attempts.failed) = (10, 11)
        status.outbox.sinceStart = transitions
        status.upstream.concurrencyLimit = 3
        status.upstream.transitions = RelayStatus.Upstream.Transitions(closed: 1, open: 2, halfOpen: 4)
        let lines = lines(status)
        for (state, value) in [("delivered", 1), ("rejected", 2), ("superseded", 3), ("dead", 4), ("discarded", 5)] {
            #expect(lines.contains("contact_relay_outbox_ended_total{state=\"\(state)\"} \(value)"))
        }
        #expect(lines.contains("contact_relay_outbox_retried_total 6"))
        for (outcome, value) in [("delivered", 7), ("refused", 8), ("held", 9), ("unready", 10), ("failed", 11)] {
            #expect(lines.contains("contact_relay_outbox_attempts_total{outcome=\"\(outcome)\"} \(value)"))
        }
        for (state, value) in [("closed", 1), ("open", 2), ("half_open", 4)] {
            #expect(lines.contains("contact_relay_upstream_breaker_transitions_total{to=\"\(state)\"} \(value)"))
        }
        #expect(lines.contains("contact_relay_upstream_concurrency_limit 3"))
        let counters = lines.filter { $0.hasPrefix("# TYPE") && $0.hasSuffix(" counter") }
        #expect(counters.allSatisfy { $0.contains("_total ") })
        #expect(lines.filter { $0.hasPrefix("# TYPE") && $0.contains("_total ") }.count == counters.count)
    }
}
