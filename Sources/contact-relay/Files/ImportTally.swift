/// Which lines of an import the relay has taken: known at each moment, whatever ends the command.
struct ImportTally: Sendable, Equatable {
    /// Why an import ends before its last line.
    enum Ending: Sendable, Equatable {
        /// What was being sent, if anything was, was refused.
        case refused
        /// Nobody knows what became of what was being sent.
        case unknown
    }

    /// Writes that were taken.
    private(set) var taken = 0
    /// The last line of those.
    private var takenUpTo = 0
    /// The lines that are being sent.
    private var sending: ClosedRange<Int>?
    private var sendingCount = 0

    /// So many writes, of these lines, are about to be sent.
    mutating func begin(_ count: Int, lines: ClosedRange<Int>) { (sendingCount, sending) = (count, lines) }

    /// What was being sent was taken.
    mutating func commit() {
        guard let sending else { return }
        taken += sendingCount
        takenUpTo = sending.upperBound
        (self.sending, sendingCount) = (nil, 0)
    }

    /// What an operator has to know before the rest is imported.
    func report(_ ending: Ending) -> String {
        let known =
            taken == 0
            ? "no write was taken"
            : "\(taken) \(taken == 1 ? "write was" : "writes were") taken, up to line \(takenUpTo)"
        guard ending == .unknown, let sending else { return "\(known); from line \(takenUpTo + 1) on none was" }
        return
            "\(known); whether lines \(sending.lowerBound) to \(sending.upperBound) were is not known: see outbox list before they "
            + "are imported again"
    }
}
