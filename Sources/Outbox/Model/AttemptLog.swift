/// The last attempts of a write, the newest last.
package struct AttemptLog: Sendable, Equatable {
    /// Attempts that are kept (P8).
    package static let maxEntries = 5
    /// Characters of an error that are kept.
    static let maxErrorCharacters = 160

    /// One attempt.
    package struct Entry: Sendable, Equatable {
        /// When it began: wall clock, milliseconds since 1970.
        package var startedAtMilliseconds: Int64
        /// How long it took, in milliseconds.
        package var durationMilliseconds: Int64
        /// The upstream's status; nil when there was no reply.
        package var status: Int?
        /// What went wrong, when there was no reply; without secrets.
        package var error: String?

        /// Describes an attempt.
        package init(
            startedAtMilliseconds: Int64,
            durationMilliseconds: Int64,
            status: Int? = nil,
            error: String? = nil
        ) {
            self.startedAtMilliseconds = startedAtMilliseconds
            self.durationMilliseconds = durationMilliseconds
            self.status = status
            self.error = error
        }
    }

    /// The attempts, the oldest first.
    package private(set) var entries: [Entry] = []

    /// How many of the last attempts were answered 403, without another outcome in between; `maxEntries` at most.
    var forbiddenInARow: Int { entries.reversed().prefix { $0.status == 403 }.count }

    /// Adds an attempt; the oldest makes room.
    package mutating func append(_ entry: Entry) {
        if entries.count == Self.maxEntries { entries.removeFirst() }
        entries.append(entry)
    }

    // MARK: - As it is stored: a line each, `started duration status|- error`

    var text: String? {
        guard !entries.isEmpty else { return nil }
        var text = ""
        for entry in entries {
            if !text.isEmpty { text += "\n" }
            text += String(entry.startedAtMilliseconds)
            text += " "
            text += String(entry.durationMilliseconds)
            text += " "
            text += entry.status.map { String($0) } ?? "-"
            if let error = entry.error {
                text += " "
                text += error.prefix(Self.maxErrorCharacters).replacing("\n", with: " ")
            }
        }
        return text
    }

    init() {}

    init(text: String?) {
        guard let text else { return }
        for line in text.split(separator: "\n") {
            let parts = line.split(separator: " ", maxSplits: 3)
            guard parts.count >= 3, let started = Int64(parts[0]), let duration = Int64(parts[1]) else { continue }
            append(
                Entry(
                    startedAtMilliseconds: started,
                    durationMilliseconds: duration,
                    status: Int(parts[2]),
                    error: parts.count > 3 ? String(parts[3]) : nil
                )
            )
        }
    }
}
