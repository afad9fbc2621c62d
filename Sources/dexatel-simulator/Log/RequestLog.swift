import NIOCore

/// The requests of the API in the order in which they were applied; the oldest go first when it is full.
struct RequestLog: Sendable {
    private var entries = CircularBuffer<LogEntry>()
    let limit: Int
    /// The number of the last entry, kept or not.
    private(set) var lastNumber = 0
    /// How many entries went because the log was full.
    private(set) var droppedCount = 0

    /// Longer bodies are not kept, only counted.
    static let bodyLimitBytes = 65_536

    init(limit: Int) {
        self.limit = limit
    }

    var count: Int { entries.count }

    /// Adds an entry, which gets the next number.
    mutating func append(_ make: (_ number: Int) -> LogEntry) {
        lastNumber += 1
        guard limit > 0 else {
            droppedCount += 1
            return
        }
        if entries.count == limit {
            entries.removeFirst()
            droppedCount += 1
        }
        entries.append(make(lastNumber))
    }

    /// Notes that the reply of an entry was never sent.
    mutating func withdrawStatus(of number: Int) {
        guard let first = entries.first, number >= first.number, number <= lastNumber else { return }
        entries[entries.index(entries.startIndex, offsetBy: number - first.number)].status = 0
    }

    /// The entries with greater numbers, oldest first.
    func entries(since number: Int, limit: Int) -> [LogEntry] {
        guard let first = entries.first else { return [] }
        return Array(entries.dropFirst(max(0, number - first.number + 1)).prefix(limit))
    }

    /// Forgets all entries; numbers go on.
    mutating func clear() {
        entries.removeAll(keepingCapacity: false)
        droppedCount = 0
    }
}
