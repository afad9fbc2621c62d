import NIOCore

/// One line of the log, made where it was logged and written later.
enum LogEntry: Sendable, Equatable {
    /// Bytes for a stream, with the line end.
    case line([UInt8])
    /// Names and values for the journal.
    case fields([LogField])

    /// What it counts for in `LogBuffer.maxBytes`.
    var byteCount: Int {
        switch self {
        case .line(let bytes): bytes.count
        case .fields(let fields): fields.reduce(0) { $0 + $1.name.utf8.count + $1.value.utf8.count + 2 }
        }
    }
}

/// A field of a journal entry.
struct LogField: Sendable, Equatable {
    var name: String
    var value: String
}

/// Lines of the log that wait to be written, in bounds: a pure state machine.
///
/// A full buffer drops what comes, and counts it: the first lines of an incident say more than the last.
struct LogBuffer {
    /// Lines that were dropped, and when the first of them was.
    struct Gap: Equatable, Sendable {
        var lines: UInt64
        /// Wall clock, milliseconds since 1970.
        var sinceMilliseconds: Int64
    }

    /// Lines that wait at most (P8).
    static let maxEntries = 8_192
    /// Bytes that wait at most (P8).
    static let maxBytes = 1 << 20

    private var entries = CircularBuffer<LogEntry>()
    private var bytes = 0
    /// Lines that were dropped, and of which the log does not tell yet.
    private(set) var gap: Gap?
    /// Lines that were dropped, ever.
    private(set) var droppedCount: UInt64 = 0

    /// Lines that wait.
    var count: Int { entries.count }

    /// Takes a line, or drops it; false when it was dropped.
    mutating func append(_ entry: LogEntry, nowMilliseconds: Int64) -> Bool {
        let size = entry.byteCount
        guard entries.count < Self.maxEntries, bytes + size <= Self.maxBytes else {
            noteDropped(nowMilliseconds: nowMilliseconds)
            return false
        }
        entries.append(entry)
        bytes += size
        return true
    }

    /// The next line to write.
    mutating func next() -> LogEntry? {
        guard let entry = entries.popFirst() else { return nil }
        bytes -= entry.byteCount
        return entry
    }

    /// Counts a line that could not be written.
    mutating func noteDropped(nowMilliseconds: Int64) {
        droppedCount += 1
        gap = Gap(lines: (gap?.lines ?? 0) + 1, sinceMilliseconds: gap?.sinceMilliseconds ?? nowMilliseconds)
    }

    /// The log tells of these; those that were dropped meanwhile are a gap of their own.
    mutating func noteReported(_ reported: Gap, nowMilliseconds: Int64) {
        guard let gap else { return }
        let rest = gap.lines - min(gap.lines, reported.lines)
        self.gap = rest > 0 ? Gap(lines: rest, sinceMilliseconds: nowMilliseconds) : nil
    }
}
