import Dispatch
package import Logging

/// The daemon's log: a logger as the configuration wants it, and the thread behind it.
package final class RelayLog: Sendable {
    /// How long the end of the daemon waits for a log that does not take its last lines.
    private static let maxFlushMilliseconds = 1_000

    /// What everything in the daemon logs with.
    package let logger: Logger
    /// The level of the logger, which a reload changes.
    package let level: LogLevel
    private let writer: LogWriter

    /// Begins a log on standard error, or in the journal when systemd has connected standard error to it.
    package init(_ configuration: RelayConfiguration, environment: [String: String]) {
        let level = LogLevel(configuration.log.level)
        let format = RelayLogHandler.Format(configuration.log.format, environment: environment)
        let label = "contact-relay"
        let writer = LogWriter { gap in RelayLogHandler.entry(telling: gap, format: format, label: label) }
        (self.level, self.writer) = (level, writer)
        logger = Logger(label: label) { label in
            RelayLogHandler(format: format, label: label, level: level, writer: writer)
        }
    }

    /// Lines that were dropped since the start, because they could not be written in time.
    package var droppedLines: UInt64 { writer.droppedCount }

    /// Waits a moment until everything that was logged is written; the end of the daemon does not depend on it.
    package func flush() { writer.flush(within: .milliseconds(Self.maxFlushMilliseconds)) }

    /// Says why a daemon ends whose configuration says nothing of a log.
    package static func lastWords(_ text: String) {
        let writer = LogWriter { gap in .line(Array("contact-relay: \(gap.lines) lines were dropped\n".utf8)) }
        writer.append(.line(Array("contact-relay: \(text)\n".utf8)))
        writer.flush(within: .milliseconds(maxFlushMilliseconds))
    }
}
