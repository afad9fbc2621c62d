import AdminAPI
import ProxyServer

/// Everything that the relay counts, for Prometheus: read from the parts when it is asked for, so that counting costs the
/// requests next to nothing (docs/decisions/0009-metrics-are-read-not-pushed.md).
struct MetricsDocument {
    let status: RelayStatus
    let requests: RequestCounts

    func rendered() -> [UInt8] {
        var text = PrometheusText()
        addDaemon(&text)
        addRequests(&text)
        addUpstream(&text)
        addOutbox(&text)
        if let webhook = status.webhook { addWebhook(webhook, &text) }
        if let cache = status.cache { addCache(cache, &text) }
        return text.bytes
    }

    private func addDaemon(_ text: inout PrometheusText) {
        text.add(
            "contact_relay_build_info",
            .gauge,
            "Always 1; the label tells the release.",
            [.init(labels: [("version", status.daemon.version)], value: 1)]
        )
        text.add(
            "contact_relay_connections",
            .gauge,
            "Connections of clients that are open.",
            status.daemon.connections
        )
        text.add(
            "contact_relay_max_connections",
            .gauge,
            "Connections that may be open: listen.max_connections, or what the limit of open files allows.",
            status.daemon.maxConnections ?? 0
        )
        text.add(
            "contact_relay_accept_failures_total",
            .counter,
            "Accepts that failed for want of a descriptor or of memory; the clients wait.",
            status.daemon.acceptFailures ?? 0
        )
        text.add(
            "contact_relay_log_lines_dropped_total",
            .counter,
            "Lines of the log that were dropped, because they could not be written in time.",
            status.daemon.logLinesDropped ?? 0
        )
    }

    private func addRequests(_ text: inout PrometheusText) {
        let samples = RequestRoute.allCases.flatMap { route in
            RequestCounts.classes.map { statusClass in
                PrometheusText.Sample(
                    labels: [("route", route.name), ("status", "\(statusClass)xx")],
                    value: Double(requests[route, statusClass])
                )
            }
        }
        text.add("contact_relay_requests_total", .counter, "Requests answered, by route and class of status.", samples)
        text.add(
            "contact_relay_forwarding_loops_total",
            .counter,
            "Requests that this relay had sent itself, answered with 508.",
            requests.forwardingLoops
        )
        text.add(
            "contact_relay_reads_total",
            .counter,
            "Reads by route and how they were answered: from what is stored (hit, stale, revalidated), by the upstream "
                + "(fetched), with another read's reply (collapsed), or with an error of the relay's own (failed).",
            RequestRoute.reads.flatMap { route in
                ReadResult.allCases.map { result in
                    .init(
                        labels: [("route", route.name), ("result", result.name)],
                        value: Double(requests[route, result])
                    )
                }
            }
        )
    }

    private func addUpstream(_ text: inout PrometheusText) {
        let upstream = status.upstream
        text.add(
            "contact_relay_upstream_breaker_state",
            .gauge,
            "1 for the state that the circuit breaker is in.",
            ["closed", "open", "half_open"].map {
                .init(labels: [("state", $0)], value: $0 == upstream.state ? 1 : 0)
            }
        )
        text.add(
            "contact_relay_upstream_reachable",
            .gauge,
            "Whether the latest attempt found somebody to connect to.",
            upstream.reachable ? 1 : 0
        )
        text.add(
            "contact_relay_upstream_state_seconds",
            .gauge,
            "How long the upstream has been in its state.",
            [.init(value: Double(upstream.sinceMilliseconds) / 1000)]
        )
        text.add(
            "contact_relay_upstream_consecutive_failures",
            .gauge,
            "Failures since the last good reply.",
            upstream.consecutiveFailures
        )
        text.add(
            "contact_relay_upstream_concurrency_limit",
            .gauge,
            "Writes that may be under way at once: as many as the upstream takes, upstream.max_concurrent_writes at most.",
            upstream.concurrencyLimit ?? 0
        )
        let transitions = upstream.transitions ?? RelayStatus.Upstream.Transitions()
        text.add(
            "contact_relay_upstream_breaker_transitions_total",
            .counter,
            "How often the circuit breaker has come into each state.",
            [("closed", transitions.closed), ("open", transitions.open), ("half_open", transitions.halfOpen)]
                .map { .init(labels: [("to", $0.0)], value: Double($0.1)) }
        )
    }

    private func addOutbox(_ text: inout PrometheusText) {
        let outbox = status.outbox
        text.add(
            "contact_relay_outbox_working",
            .gauge,
            "Whether writes are taken.",
            outbox.state == "working" ? 1 : 0
        )
        text.add(
            "contact_relay_outbox_writes",
            .gauge,
            "Accepted writes by what became of them; their sum is contact_relay_outbox_accepted_total.",
            [
                ("pending", outbox.pending), ("delivered", outbox.delivered), ("rejected", outbox.rejected),
                ("superseded", outbox.superseded), ("dead", outbox.dead), ("discarded", outbox.discarded),
                ("damaged", outbox.damaged ?? 0),
            ].map { .init(labels: [("state", $0.0)], value: Double($0.1)) }
        )
        text.add("contact_relay_outbox_accepted_total", .counter, "Writes that were ever committed.", outbox.accepted)
        addTransitions(outbox.sinceStart ?? RelayStatus.Outbox.Transitions(), &text)
        text.add("contact_relay_outbox_in_flight", .gauge, "Pending writes that are being sent.", outbox.inFlight)
        text.add(
            "contact_relay_outbox_held",
            .gauge,
            "Pending writes that wait for their key or an operator.",
            outbox.held
        )
        text.add(
            "contact_relay_outbox_deliveries_paused",
            .gauge,
            "1 while deliveries are paused, by an operator or the brake.",
            outbox.deliveriesPaused == true ? 1 : 0
        )
        text.add(
            "contact_relay_outbox_death_brake",
            .gauge,
            "1 while deliveries are paused as too many acknowledged writes would become dead letters.",
            outbox.deliveriesPausedBy == "deaths" ? 1 : 0
        )
        text.add(
            "contact_relay_outbox_stored_bytes",
            .gauge,
            "What pending and dead writes take.",
            outbox.storedBytes
        )
        text.add(
            "contact_relay_outbox_waiting",
            .gauge,
            "Senders that wait for the upstream's own reply.",
            outbox.waiting
        )
        text.add(
            "contact_relay_outbox_oldest_pending_seconds",
            .gauge,
            "Age of the oldest pending write; 0 when nothing is pending.",
            [.init(value: Double(outbox.oldestPendingMilliseconds ?? 0) / 1000)]
        )
    }

    private func addTransitions(_ transitions: RelayStatus.Outbox.Transitions, _ text: inout PrometheusText) {
        text.add(
            "contact_relay_outbox_ended_total",
            .counter,
            "Writes that have ended, by how; one that dies, is retried and ends again is counted again.",
            [
                ("delivered", transitions.delivered), ("rejected", transitions.rejected),
                ("superseded", transitions.superseded), ("dead", transitions.dead),
                ("discarded", transitions.discarded),
            ].map { .init(labels: [("state", $0.0)], value: Double($0.1)) }
        )
        text.add(
            "contact_relay_outbox_retried_total",
            .counter,
            "Dead writes that an operator made pending again.",
            transitions.retried
        )
        let attempts = transitions.attempts
        text.add(
            "contact_relay_outbox_attempts_total",
            .counter,
            "Attempts to deliver by what they came to: taken, refused for good, held on a 401 or 403, answered and to be "
                + "sent again (unready), or without a complete reply (failed).",
            [
                ("delivered", attempts.delivered), ("refused", attempts.refused), ("held", attempts.held),
                ("unready", attempts.unready), ("failed", attempts.failed),
            ].map { .init(labels: [("outcome", $0.0)], value: Double($0.1)) }
        )
    }

    private func addWebhook(_ webhook: RelayStatus.Webhook, _ text: inout PrometheusText) {
        text.add("contact_relay_webhook_told_total", .counter, "Dead writes that were told.", webhook.told)
        text.add(
            "contact_relay_webhook_failures_total",
            .counter,
            "Events that writes.on_dead_url did not take, each time.",
            webhook.failures
        )
        text.add("contact_relay_webhook_waiting", .gauge, "Dead writes that nobody was told of yet.", webhook.waiting)
    }

    private func addCache(_ cache: RelayStatus.Cache, _ text: inout PrometheusText) {
        text.add(
            "contact_relay_cache_lookups_total",
            .counter,
            "Reads by what the cache had for them: something fresh, something stale, something to confirm, or nothing.",
            [("hit", cache.hits), ("stale", cache.stale), ("validation", cache.validations), ("miss", cache.misses)]
                .map { .init(labels: [("result", $0.0)], value: Double($0.1)) }
        )
        text.add(
            "contact_relay_cache_stale_on_error_total",
            .counter,
            "Reads answered with something stale because the upstream failed; part of the validations.",
            cache.staleOnError
        )
        text.add(
            "contact_relay_cache_revalidated_total",
            .counter,
            "Stored replies that the upstream has confirmed.",
            cache.revalidated
        )
        text.add("contact_relay_cache_stored_total", .counter, "Replies that were stored.", cache.stored)
        text.add(
            "contact_relay_cache_evicted_total",
            .counter,
            "Stored replies that made room for others.",
            cache.evicted
        )
        text.add(
            "contact_relay_cache_invalidated_total",
            .counter,
            "Stored replies that writes have put in doubt.",
            cache.invalidated
        )
        text.add(
            "contact_relay_cache_collapsed_total",
            .counter,
            "Reads that were answered with another one's reply.",
            cache.collapsed ?? 0
        )
        text.add("contact_relay_cache_entries", .gauge, "Stored replies.", cache.entries)
        text.add("contact_relay_cache_bytes", .gauge, "What stored replies take in memory.", cache.bytes)
        text.add("contact_relay_cache_max_bytes", .gauge, "What they may take (reads.memory).", cache.maxBytes)
        text.add("contact_relay_cache_waiting", .gauge, "Reads that wait for another one's reply.", cache.waiting)
        if let disk = cache.disk { addDisk(disk, &text) }
    }

    private func addDisk(_ disk: RelayStatus.Cache.Disk, _ text: inout PrometheusText) {
        text.add(
            "contact_relay_cache_disk_available",
            .gauge,
            "Whether the cache's file is read and written.",
            disk.isAvailable ? 1 : 0
        )
        text.add("contact_relay_cache_disk_replies", .gauge, "Replies that are stored on disk.", disk.entries)
        text.add("contact_relay_cache_disk_bytes", .gauge, "What they take.", disk.bytes)
        text.add("contact_relay_cache_disk_max_bytes", .gauge, "What they may take (reads.disk).", disk.maxBytes)
        text.add(
            "contact_relay_cache_disk_lookups_total",
            .counter,
            "Reads that were looked for on disk.",
            disk.lookups
        )
        text.add("contact_relay_cache_disk_found_total", .counter, "Those that were found there.", disk.found)
        text.add(
            "contact_relay_cache_disk_dropped_total",
            .counter,
            "Replies that came too fast to be written.",
            disk.dropped
        )
        text.add("contact_relay_cache_disk_failures_total", .counter, "Failures of the disk.", disk.failures)
    }
}
