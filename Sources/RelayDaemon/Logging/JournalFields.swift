import Logging

/// The fields of a journal entry, by the table of what the log's metadata is called there.
enum JournalFields {
    /// The names of the fields by those of the metadata; what is not here becomes `RELAY_` and its name in capitals.
    static let names: [String: String] = [
        "write": "RELAY_WRITE_ID",
        "contact": "RELAY_CONTACT",
        "key": "RELAY_KEY",
        "status": "RELAY_UPSTREAM_STATUS",
        "errno": "ERRNO",
        "exit": "EXIT_STATUS",
    ]

    /// Everything that an entry says.
    ///
    /// - Parameter words: The message with its metadata, as `journalctl` shows it.
    static func of(_ event: LogEvent, _ words: String, _ metadata: [(String, Logger.MetadataValue)], priority: Int)
        -> [LogField]
    {
        let fields: [(String, String)] = [
            ("MESSAGE", words), ("PRIORITY", String(priority)), ("SYSLOG_IDENTIFIER", "contact-relay"),
            ("CODE_FILE", event.file), ("CODE_LINE", String(event.line)), ("CODE_FUNC", event.function),
            ("RELAY_EVENT", event.message.description),
        ]
        return (fields + metadata.map { (name(of: $0), $1.description) }).map(LogField.init)
    }

    /// A field's name: capitals, digits and underscores, 64 at most, as systemd.journal-fields(7) wants them.
    static func name(of key: String) -> String {
        if let name = names[key] { return name }
        let letters = key.uppercased().unicodeScalars.map { scalar -> Character in
            ("A"..."Z").contains(scalar) || ("0"..."9").contains(scalar) ? Character(scalar) : "_"
        }
        return String(("RELAY_" + String(letters)).prefix(64))
    }
}
