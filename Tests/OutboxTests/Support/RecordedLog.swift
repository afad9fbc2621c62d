import Logging
import Synchronization

/// Everything that was logged, to be looked at.
final class RecordedLog: Sendable {
    struct Line: Sendable {
        var level: Logger.Level
        var message: String
        var metadata: [String: String]
    }

    private struct Handler: LogHandler {
        let log: RecordedLog
        var metadata: Logger.Metadata = [:]
        var logLevel = Logger.Level.trace

        subscript(metadataKey key: String) -> Logger.Metadata.Value? {
            get { metadata[key] }
            set { metadata[key] = newValue }
        }

        func log(event: LogEvent) {
            let line = Line(
                level: event.level,
                message: "\(event.message)",
                metadata: (event.metadata ?? [:]).mapValues { "\($0)" }
            )
            log.all.withLock { $0.append(line) }
        }
    }

    private let all = Mutex<[Line]>([])

    var logger: Logger { Logger(label: "outbox-tests") { _ in Handler(log: self) } }

    /// The lines about API keys that an operator sees.
    var keyLines: [Line] {
        all.withLock { $0.filter { $0.level >= .notice && $0.message.contains("API key") } }
    }
}
