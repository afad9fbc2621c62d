import ResponseCache

/// Which replies about contacts have nothing to show of the key's pending writes, as the outbox said when it was asked.
///
/// The outbox's memory does not know every contact with pending writes: of a key that is paused, or of a long backlog,
/// most of them are in the database alone. Without this, each hit of any other contact of that key would ask the
/// database. A fixed number of 64-bit marks; what is not remembered is asked again.
struct UntouchedContacts {
    /// Marks at most: 8 MiB.
    static let maxMarks = 1 << 20

    /// Marks that share a place: a new one displaces one of them.
    private static let ways = 4
    private static let minMarks = 1 << 10
    private static let growth = 16

    private let maxMarks: Int
    /// The marks, 0 where there is none.
    ///
    /// One is made of the key's hash and of the count of its contact's changes, so that it ends with the next change.
    private var marks: [UInt64] = []
    private var displaced = 0

    init(maxMarks: Int = UntouchedContacts.maxMarks) { self.maxMarks = max(maxMarks, Self.minMarks) }

    /// Remembers that there was nothing to show at a count of the contact's changes.
    mutating func note(_ hash: UInt64, changes count: UInt64) {
        if marks.isEmpty { marks = Array(repeating: 0, count: Self.minMarks) }
        if displaced > marks.count / 2, marks.count < maxMarks {
            // What was remembered is found out again: growing seldom costs least.
            marks = Array(repeating: 0, count: min(maxMarks, marks.count * Self.growth))
            displaced = 0
        }
        let (mark, first) = (Self.mark(hash, count), place(hash))
        for way in first..<(first + Self.ways) where marks[way] == 0 || marks[way] == mark {
            marks[way] = mark
            return
        }
        marks[first + Int(truncatingIfNeeded: mark >> 32) & (Self.ways - 1)] = mark
        displaced += 1
    }

    /// Whether there was nothing to show at this count of the contact's changes.
    func contains(_ hash: UInt64, changes count: UInt64) -> Bool {
        guard !marks.isEmpty else { return false }
        let (mark, first) = (Self.mark(hash, count), place(hash))
        for way in first..<(first + Self.ways) where marks[way] == mark { return true }
        return false
    }

    private func place(_ hash: UInt64) -> Int {
        // The high half: the low one finds the reply itself.
        Int(truncatingIfNeeded: hash >> 32) & (marks.count / Self.ways - 1) * Self.ways
    }

    /// Different for different counts of one hash, and never 0.
    private static func mark(_ hash: UInt64, _ count: UInt64) -> UInt64 {
        let mark = (hash ^ (hash >> 31)) &+ count &* 0x9E37_79B9_7F4A_7C15
        return mark == 0 ? 1 : mark
    }
}
