import AdminAPI
import DexatelAPI
import Foundation
import Logging
import Outbox
import Systemd

/// Writes log lines to standard error: text for people, JSON for machines, and text with a priority for the journal.
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
    private var ownLevel: Logger.Level?
    var metadata: Logger.Metadata = [:]

    init(format: Format, label: String, level: LogLevel) {
        (self.format, self.label, self.level) = (format, label, level)
    }

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    func log(event: LogEvent) {
        let all = metadata.merging(event.metadata ?? [:]) { $1 }.sorted { $0.key < $1.key }
        if format == .journal {
            let fields = JournalFields.of(
                event,
                Self.words(event.message, all),
                all,
                priority: Self.priority(event.level)
            )
            // Without the journal's socket its stream, which knows priorities, still takes lines.
            if Journal.send(fields) { return }
        }
        let line =
            switch format {
            case .text: text(event.level, event.message, all)
            case .json: json(event.level, event.message, all)
            case .journal: "<\(Self.priority(event.level))>" + Self.words(event.message, all) + "\n"
            }
        // One write a line: lines of several threads do not mix.
        FileHandle.standardError.write(Data(line.utf8))
    }

    private static func now() -> String { RFC3339.text(millisecondsSinceEpoch: RelayClock.wallMilliseconds()) }

    private func text(_ level: Logger.Level, _ message: Logger.Message, _ all: [(String, Logger.MetadataValue)])
        -> String
    {
        "\(Self.now()) \(level.rawValue) \(Self.words(message, all))\n"
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

    private func json(_ level: Logger.Level, _ message: Logger.Message, _ all: [(String, Logger.MetadataValue)])
        -> String
    {
        var bytes: [UInt8] = [UInt8(ascii: "{")]
        func add(_ name: String, _ value: String) {
            if bytes.count > 1 { bytes.append(UInt8(ascii: ",")) }
            JSONText.appendQuoted(name, to: &bytes)
            bytes.append(UInt8(ascii: ":"))
            JSONText.appendQuoted(value, to: &bytes)
        }
        add("time", Self.now())
        add("level", level.rawValue)
        add("logger", label)
        add("message", message.description)
        for (name, value) in all { add(name, value.description) }
        return String(decoding: bytes, as: UTF8.self) + "}\n"
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
