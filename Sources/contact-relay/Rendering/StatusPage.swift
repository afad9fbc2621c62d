import AdminAPI

/// A status for a terminal of 80 columns.
struct StatusPage {
    private let status: RelayStatus
    private let rates: StatusRates?

    init(_ status: RelayStatus, rates: StatusRates? = nil) {
        (self.status, self.rates) = (status, rates)
    }

    var text: String {
        let (daemon, upstream, outbox) = (status.daemon, status.upstream, status.outbox)
        var lines = [
            "contact-relay \(daemon.version), pid \(daemon.pid), since \(daemon.startedAt.prefix(19))Z, "
                + "\(daemon.connections) \(daemon.connections == 1 ? "connection" : "connections")",
            StatusLine(status).description,
            "",
            PageRow.text("upstream", upstream.url),
            PageRow.text("breaker", "\(upstream.state) for \(StatusLine.age(upstream.sinceMilliseconds))"),
        ]
        if let error = upstream.lastError { lines.append(PageRow.text("last error", error)) }
        lines.append(PageRow.text("outbox", outbox.state + (outbox.detail.map { ": \($0)" } ?? "")))
        if let rates { lines.append(PageRow.text("rates", rates.description)) }
        lines += [
            "",
            PageRow.text("accepted", outbox.accepted),
            PageRow.text("pending", outbox.pending, note: pendingNote),
            PageRow.text("delivered", outbox.delivered),
            PageRow.text("rejected", outbox.rejected),
            PageRow.text("superseded", outbox.superseded),
            PageRow.text("dead", outbox.dead, note: outbox.dead > 0 ? "see outbox list --state dead" : nil),
            PageRow.text("discarded", outbox.discarded),
        ]
        if let damaged = outbox.damaged, damaged > 0 {
            lines.append(PageRow.text("damaged", damaged, note: "see outbox damaged"))
        }
        if let webhook = status.webhook {
            lines.append(PageRow.text("told", Int64(clamping: webhook.told), note: note(webhook)))
        }
        if let cache = status.cache { lines += [""] + CachePage(cache).rows }
        return lines.joined(separator: "\n")
    }

    private func note(_ webhook: RelayStatus.Webhook) -> String {
        "\(webhook.waiting) untold" + (webhook.lastError.map { "; \($0)" } ?? "")
    }

    private var pendingNote: String? {
        guard status.outbox.pending > 0 else { return nil }
        return "\(status.outbox.inFlight) in flight, \(status.outbox.held) held"
    }
}
