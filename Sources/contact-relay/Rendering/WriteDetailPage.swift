import AdminAPI
import Foundation

/// All that is kept of a write, for a terminal of 80 columns.
struct WriteDetailPage {
    private let detail: WriteDetail

    init(_ detail: WriteDetail) { self.detail = detail }

    var text: String {
        let write = detail.write
        var lines = [
            row("write", write.id),
            row("state", write.state + (write.hold.map { ", by \(Self.hold($0))" } ?? "")),
            row("request", "\(write.method) \(detail.target ?? "(gone)")"),
            row("audience", write.audienceId),
            row("contact", write.contactId),
            row("key", write.keyFingerprint),
            row("sequence", String(write.sequence)),
            row("accepted", "\(write.acceptedAt), \(StatusLine.age(write.ageMilliseconds)) ago"),
        ]
        func add(_ name: String, _ value: String?) {
            if let value { lines.append(row(name, value)) }
        }
        add("ended", write.endedAt)
        add("attempts", String(write.attempts) + (write.ambiguous ? ", one of them may have taken effect" : ""))
        add("next attempt", write.state == "pending" ? write.nextAttemptAt : nil)
        add("last error", write.lastError)
        add("superseded by", write.supersededBy)
        add("sets", detail.fieldNames.map { $0.isEmpty ? "nothing" : $0.joined(separator: ", ") })
        for attempt in detail.lastAttempts {
            let outcome = attempt.status.map { "status \($0)" } ?? attempt.error ?? "no reply"
            lines.append(row("attempt", "\(attempt.startedAt), \(attempt.durationMilliseconds) ms: \(outcome)"))
        }
        for header in detail.headers ?? [] where header.count == 2 {
            lines.append(row("header", "\(header[0]): \(header[1])"))
        }
        if let body = detail.body, !body.isEmpty { lines += ["", "body:", Self.block(body)] }
        if let status = write.responseStatus {
            let code = write.errorCode.map { ", code \($0)" } ?? ""
            lines += ["", "the upstream's reply, status \(status)\(code):", Self.block(detail.responseBody ?? "")]
        }
        return lines.joined(separator: "\n")
    }

    private func row(_ name: String, _ value: String) -> String {
        TerminalText.left(name, 14) + TerminalText.plain(value)
    }

    private static func hold(_ reason: String) -> String {
        switch reason {
        case "key": "its key, which the upstream refused with 401"
        case "write": "the upstream's 403"
        case "contact": "an operator, who stopped its contact"
        case "unexpected": "2xx replies that do not confirm it: look at the contact, then release or discard it"
        case "overtaken": "the replay rule: a later write was delivered"
        default: reason
        }
    }

    /// JSON as an indented block; anything else as it is.
    private static func block(_ text: String) -> String {
        let value = try? JSONSerialization.jsonObject(with: Data(text.utf8))
        let options: JSONSerialization.WritingOptions = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
        let pretty = value.flatMap { try? JSONSerialization.data(withJSONObject: $0, options: options) }
        let shown = pretty.map { String(decoding: $0, as: UTF8.self) } ?? text
        return shown.split(separator: "\n", omittingEmptySubsequences: false)
            .map { "  " + TerminalText.plain(String($0)) }.joined(separator: "\n")
    }
}
