/// Says in one line, for people, how a relay does: the text of `STATUS=` and the first line of `contact-relay status`.
package struct StatusLine: CustomStringConvertible {
    private let status: RelayStatus

    /// Describes this status.
    package init(_ status: RelayStatus) {
        self.status = status
    }

    package var description: String {
        [configuration, upstream, queue, trouble, untold, cache].compactMap { $0 }.joined(separator: "; ")
    }

    private var configuration: String? {
        if let problem = status.configuration?.problem {
            return "RELOAD FAILED, old configuration in force: \(problem)"
        }
        guard let keys = status.configuration?.needsRestart, !keys.isEmpty else { return nil }
        return "restart for \(keys.joined(separator: ", "))"
    }

    private var upstream: String {
        let upstream = status.upstream
        guard upstream.state == "closed" else {
            var text = "upstream down \(Self.age(upstream.sinceMilliseconds))"
            if let next = upstream.nextTryMilliseconds { text += ", next try in \(Self.age(next))" }
            return text
        }
        return upstream.reachable ? "upstream up" : "upstream not reached by the last try"
    }

    private var queue: String {
        let outbox = status.outbox
        guard outbox.pending > 0 else { return "nothing pending" }
        var text = "\(Self.grouped(outbox.pending)) pending"
        if let oldest = outbox.oldestPendingMilliseconds { text += ", oldest \(Self.age(oldest))" }
        if outbox.held > 0 { text += ", \(Self.grouped(outbox.held)) held" }
        if let pause = outbox.upstreamPausedMilliseconds { text += ", upstream wants a pause of \(Self.age(pause))" }
        return text
    }

    private var trouble: String? {
        let outbox = status.outbox
        switch outbox.state {
        case "working":
            let dead = outbox.dead > 0 ? "\(Self.grouped(outbox.dead)) dead" : nil
            guard outbox.deliveriesPaused == true else { return dead }
            let pause =
                outbox.deliveriesPausedBy == "deaths" ? "TOO MANY DEATHS, deliveries PAUSED" : "deliveries PAUSED"
            return [pause, dead].compactMap { $0 }.joined(separator: ", ")
        case "disk_low": return "DISK LOW, writes are refused"
        case "files_lost": return "OUTBOX FILES LOST, writes are refused"
        default: return "OUTBOX FAILED, writes are refused"
        }
    }

    private var untold: String? {
        guard let webhook = status.webhook, webhook.failuresInARow > 0 else { return nil }
        return "webhook fails, \(Self.grouped(Int64(webhook.waiting))) untold"
    }

    private var cache: String? { status.cache?.hitPercent.map { "cache \($0) % hits" } }

    /// A duration as people say it: `850 ms`, `12 s`, `4 min`, `3 h`, `2 d`.
    package static func age(_ milliseconds: Int64) -> String {
        switch milliseconds {
        case ..<1_000: "\(max(0, milliseconds)) ms"
        case ..<120_000: "\(milliseconds / 1_000) s"
        case ..<7_200_000: "\(milliseconds / 60_000) min"
        case ..<172_800_000: "\(milliseconds / 3_600_000) h"
        default: "\(milliseconds / 86_400_000) d"
        }
    }

    /// A number with thin groups of three digits: `1 204`.
    package static func grouped(_ number: Int64) -> String {
        let digits = Array(String(number.magnitude))
        var text = number < 0 ? "-" : ""
        for (index, digit) in digits.enumerated() {
            if index > 0, (digits.count - index) % 3 == 0 { text += " " }
            text.append(digit)
        }
        return text
    }
}
