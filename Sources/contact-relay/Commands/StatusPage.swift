import AdminAPI
import Foundation

/// A status for a terminal of 80 columns.
struct StatusPage {
    private let status: RelayStatus

    init(_ status: RelayStatus) {
        self.status = status
    }

    var text: String {
        let (daemon, upstream, outbox) = (status.daemon, status.upstream, status.outbox)
        var lines = [
            "contact-relay \(daemon.version), pid \(daemon.pid), since \(daemon.startedAt)",
            StatusLine(status).description,
            "",
            row("upstream", upstream.url),
            row("breaker", "\(upstream.state) for \(StatusLine.age(upstream.sinceMilliseconds))"),
        ]
        if let error = upstream.lastError { lines.append(row("last error", error)) }
        lines += [
            row("connections", "\(daemon.connections)"),
            row("outbox", outbox.state + (outbox.detail.map { ": \($0)" } ?? "")),
            "",
            row("accepted", outbox.accepted),
            row("pending", outbox.pending, note: pendingNote),
            row("delivered", outbox.delivered),
            row("rejected", outbox.rejected),
            row("superseded", outbox.superseded),
            row("dead", outbox.dead),
            row("discarded", outbox.discarded),
        ]
        if let webhook = status.webhook {
            lines.append(row("told", Int64(clamping: webhook.told), note: note(webhook)))
        }
        if let cache = status.cache { lines += [""] + cacheRows(cache) }
        return lines.joined(separator: "\n")
    }

    private func note(_ webhook: RelayStatus.Webhook) -> String {
        "\(webhook.waiting) untold" + (webhook.lastError.map { "; \($0)" } ?? "")
    }

    private func cacheRows(_ cache: RelayStatus.Cache) -> [String] {
        let mebibytes = { (bytes: Int) in String(format: "%.1f MiB", Double(bytes) / 1_048_576) }
        return [
            row("cached", Int64(cache.entries), note: "\(mebibytes(cache.bytes)) of \(mebibytes(cache.maxBytes))"),
            row("hits", Int64(clamping: cache.hits), note: cache.hitPercent.map { "\($0) % without the upstream" }),
            row("stale", Int64(clamping: cache.stale + cache.staleOnError)),
            row("misses", Int64(clamping: cache.misses)),
            row("validated", Int64(clamping: cache.validations), note: "\(cache.revalidated) confirmed"),
            row("evicted", Int64(clamping: cache.evicted)),
        ] + (cache.disk.map { [diskRow($0, mebibytes)] } ?? [])
    }

    private func diskRow(_ disk: RelayStatus.Cache.Disk, _ mebibytes: (Int) -> String) -> String {
        let state = disk.isAvailable ? "" : ", OFF after a failure"
        return row(
            "on disk",
            Int64(disk.entries),
            note: "\(mebibytes(disk.bytes)) of \(mebibytes(disk.maxBytes))\(state)"
        )
    }

    private var pendingNote: String? {
        guard status.outbox.pending > 0 else { return nil }
        return "\(status.outbox.inFlight) in flight, \(status.outbox.held) held"
    }

    private func row(_ name: String, _ value: String) -> String {
        name + String(repeating: " ", count: max(1, 14 - name.count)) + value
    }

    private func row(_ name: String, _ number: Int64, note: String? = nil) -> String {
        let value = StatusLine.grouped(number)
        let padded = String(repeating: " ", count: max(0, 13 - value.count)) + value
        return row(name, padded + (note.map { "   \($0)" } ?? ""))
    }
}
