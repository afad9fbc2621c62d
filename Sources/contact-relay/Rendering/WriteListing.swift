import AdminAPI

/// Writes for a terminal of 80 columns, as `mailq` shows letters: each with its contact, and with what went wrong.
struct WriteListing {
    private typealias Text = TerminalText

    static let header =
        Text.left("ID", 27) + Text.left("STATE", 16) + Text.left("METHOD", 7) + Text.right("AGE", 8)
        + Text.right("TRIES", 6) + "  " + "KEY"

    private(set) var count = 0
    private(set) var bytes = 0

    /// The lines of one write.
    mutating func lines(_ write: WriteSummary) -> [String] {
        count += 1
        bytes += write.storedBytes
        let state = write.hold.map { "\(write.state) (\($0))" } ?? write.state
        var lines = [
            Text.left(write.id, 27) + Text.left(state, 16) + Text.left(write.method, 7)
                + Text.right(StatusLine.age(write.ageMilliseconds), 8) + Text.right(String(write.attempts), 6) + "  "
                + Text.clipped(write.keyFingerprint, to: 12),
            "  \(write.contact)",
        ]
        if let reason = Self.reason(write) { lines.append("  " + Text.clipped(reason, to: Text.columns - 2)) }
        return lines
    }

    /// What stands under all of them.
    var footer: String {
        guard count > 0 else { return "no writes" }
        let number = StatusLine.grouped(Int64(count))
        return "-- \(number) \(count == 1 ? "write" : "writes"), \(ByteText.text(bytes))"
    }

    /// Why it is where it is.
    static func reason(_ write: WriteSummary) -> String? {
        var parts: [String] = []
        if let status = write.responseStatus { parts.append("status \(status)") }
        if let code = write.errorCode { parts.append("code \(code)") }
        if let error = write.lastError, !parts.contains(error) { parts.append(error) }
        if let successor = write.supersededBy { parts.append("by \(successor)") }
        if write.ambiguous { parts.append("may have taken effect") }
        return parts.isEmpty ? nil : parts.joined(separator: ", ")
    }
}

/// Numbers of bytes as people read them.
enum ByteText {
    /// `312 B`, `1.2 KiB`, `64.0 MiB`.
    static func text(_ bytes: Int) -> String {
        guard bytes >= 1_024 else { return "\(bytes) B" }
        var (value, unit) = (Double(bytes) / 1_024, 0)
        let units = ["KiB", "MiB", "GiB", "TiB"]
        while value >= 1_023.95, unit < units.count - 1 { (value, unit) = (value / 1_024, unit + 1) }
        let tenths = Int((value * 10).rounded())
        return "\(tenths / 10).\(tenths % 10) \(units[unit])"
    }
}
