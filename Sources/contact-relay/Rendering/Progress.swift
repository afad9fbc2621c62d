import Foundation

/// Tells how far a long command is: one line that changes for a person, a line now and then for a log.
struct Progress {
    private static let logInterval = Duration.seconds(10)

    private let isTerminal = isatty(STDERR_FILENO) == 1
    private var last: ContinuousClock.Instant?
    private var width = 0

    /// Shows a line.
    mutating func show(_ text: String) {
        if isTerminal {
            let padding = String(repeating: " ", count: max(0, width - text.count))
            Output.note("\r\(text)\(padding)", terminator: "")
            width = text.count
        } else if last.map({ ContinuousClock.now - $0 >= Self.logInterval }) ?? true {
            Output.note(text)
            last = .now
        }
    }

    /// Clears the line, so that what follows stands alone.
    mutating func clear() {
        guard isTerminal, width > 0 else { return }
        Output.note("\r\(String(repeating: " ", count: width))\r", terminator: "")
        width = 0
    }
}
