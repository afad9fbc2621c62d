import AdminAPI

/// What became of a command, in words.
struct ChangeReport {
    let command: WriteCommand
    let reply: WriteChangeReply

    var text: String {
        var lines = ["\(StatusLine.grouped(Int64(reply.changed))) \(done)"]
        guard reply.refused > 0 else { return lines[0] }
        lines.append("\(StatusLine.grouped(Int64(reply.refused))) left as they are:")
        for reason in reply.reasons {
            lines.append(
                "  " + TerminalText.right(StatusLine.grouped(Int64(reason.count)), 9) + "  "
                    + Self.meaning(reason.reason)
            )
        }
        for refusal in reply.refusals.prefix(Self.maxShown) { lines.append("  \(refusal.id)  \(refusal.reason)") }
        if reply.refused > Self.maxShown { lines.append("  …") }
        return lines.joined(separator: "\n")
    }

    /// Refusals that are shown one by one.
    private static let maxShown = 10

    private var done: String {
        switch command {
        case .retry: "will be sent again"
        case .release: "let go"
        case .discard: "discarded"
        }
    }

    static func meaning(_ reason: String) -> String {
        switch reason {
        case "other_state": "changed meanwhile, or not in a state for this"
        case "in_flight": "being sent just now; try again"
        case "overtaken": "a later write to the contact was delivered (--force sends it anyway)"
        case "nothing_left": "all that it sets was set by later writes"
        case "key_refused": "the upstream refuses its key (see key list, key replace)"
        case "contact_stopped": "its contact is stopped (outbox release CONTACT)"
        default: reason
        }
    }
}
