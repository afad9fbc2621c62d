import DexatelAPI
import Logging
import Outbox
import Systemd

/// Makes log lines for the writer: text for people, JSON for machines, and entries with fields for the journal.
struct RelayLogHandler: LogHandler {
    enum Format: Sendable {
        case text
        case json
        /// As under systemd: entries with fields, or, where the journal's socket is not to be had, lines with their
        /// priority as `<N>` (sd-daemon(3)).
        case journal
    }

    let format: Format
    let label: String
    /// The level in force, unless this logger has been given another one.
    var logLevel: Logger.Level {
        get { ownLevel ?? level.level }
        set { ownLevel = newValue }
    }
    let level: LogLevel
    private let writer: LogWriter
    private var ownLevel: Logger.Level?
    var metadata: Logger.Metadata = [:]

    init(format: Format, label: String, level: LogLevel, writer: LogWriter) {
        (self.format, self.label, self.level, self.writer) = (format, label, level, writer)
    }

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    func log(event: LogEvent) {
        let all = metadata.merging(event.metadata ?? [:]) { $1 }.sorted { $0.key < $1.key }
        writer.append(Self.entry(event, all, format: format, label: label))
    }

    /// An event as the writer takes it.
    private static func entry(
        _ event: LogEvent,
        _ all: [(String, Logger.MetadataValue)],
        format: Format,
        label: String
    ) -> LogEntry {
        switch format {
        case .journal:
            .fields(JournalFields.of(event, words(event.message, all), all, priority: priority(event.level)))
        case .text: .line(Array(text(event.level, event.message, all).utf8))
        case .json: .line(json(event.level, event.message, all, label: label))
        }
    }

    /// The line that tells of lines that are missing.
    static func entry(telling gap: LogBuffer.Gap, format: Format, label: String) -> LogEntry {
        let event = LogEvent(
            level: .warning,
            message: "log lines were dropped, because they could not be written in time",
            metadata: nil,
            source: "RelayDaemon",
            file: #fileID,
            function: #function,
            line: #line
        )
        let metadata: [(String, Logger.MetadataValue)] = [
            ("lines", "\(gap.lines)"),
            ("since", "\(RFC3339.text(millisecondsSinceEpoch: gap.sinceMilliseconds))"),
        ]
        return entry(event, metadata, format: format, label: label)
    }

    private static func now() -> String { RFC3339.text(millisecondsSinceEpoch: RelayClock.wallMilliseconds()) }

    private static func text(
        _ level: Logger.Level,
        _ message: Logger.Message,
        _ all: [(String, Logger.MetadataValue)]
    ) -> String {
        "\(now()) \(level.rawValue) \(words(message, all))\n"
    }

    private static func words(_ message: Logger.Message, _ all: [(String, Logger.MetadataValue)]) -> String {
        var line = message.description
        for (name, value) in all {
            line += " \(name)="
            let text = value.description
            let needsQuotes = text.isEmpty || text.contains { $0 == " " || $0 == "\"" || $0.isNewline || $0 == "=" }
            if needsQuotes {
                var quoted: [UInt8] = []
                JSONText.appendQuoted(text, to: &quoted)
                line += String(decoding: quoted, as: UTF8.self)
            } else {
                line += text
            }
        }
        return line
    }

    private static func json(
        _ level: Logger.Level,
        _ message: Logger.Message,
        _ all: [(String, Logger.MetadataValue)],
        label: String
    ) -> [UInt8] {
        var bytes: [UInt8] = [UInt8(ascii: "{")]
        func add(_ name: String, _ value: String) {
            if bytes.count > 1 { bytes.append(UInt8(ascii: ",")) }
            JSONText.appendQuoted(name, to: &bytes)
            bytes.append(UInt8(ascii: ":"))
            JSONText.appendQuoted(value, to: &bytes)
        }
        add("time", now())
        add("level", level.rawValue)
        add("logger", label)
        add("message", message.description)
        for (name, value) in all { add(name, value.description) }
        return bytes + Array("}\n".utf8)
    }

    /// The syslog priority (RFC 5424 §6.2.1).
    private static func priority(_ level: Logger.Level) -> Int {
        switch level {
        case .trace, .debug: 7
        case .info: 6
        case .notice: 5
        case .warning: 4
        case .error: 3
        case .critical: 2
        }
    }
}

extension RelayLogHandler.Format {
    /// What `log.format` means here: `auto` is for the journal when systemd has connected standard error to it.
    init(_ configured: RelayConfiguration.Log.Format, environment: [String: String]) {
        self =
            switch configured {
            case .text: .text
            case .json: .json
            case .auto: Journal.isStandardError(environment["JOURNAL_STREAM"]) ? .journal : .text
            }
    }
}
