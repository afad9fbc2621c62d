import AdminAPI

/// API keys for a terminal of 80 columns, by the beginning of their fingerprints.
struct KeyListing {
    private typealias Text = TerminalText
    private static let fingerprintDigits = 12

    let keys: [KeyList.Item]

    var text: String {
        guard !keys.isEmpty else { return "the queue refers to no key" }
        let header =
            Text.left("KEY", 14) + Text.left("STATE", 12) + Text.right("PENDING", 10) + Text.right("HELD", 10)
            + Text.right("DEAD", 9) + "  SINCE"
        return ([header] + keys.map(row)).joined(separator: "\n")
    }

    private func row(_ key: KeyList.Item) -> String {
        let number = { (value: Int) in StatusLine.grouped(Int64(value)) }
        let note =
            key.successor.map { "by \($0.prefix(Self.fingerprintDigits))" }
            ?? Self.seconds(key.refusedAt ?? key.verifiedAt ?? key.createdAt)
        return Text.left(String(key.fingerprint.prefix(Self.fingerprintDigits)), 14) + Text.left(key.state, 12)
            + Text.right(number(key.pending), 10) + Text.right(number(key.held), 10) + Text.right(number(key.dead), 9)
            + "  " + note
    }

    /// A time without its milliseconds.
    private static func seconds(_ time: String) -> String { time.prefix(19) + "Z" }
}
