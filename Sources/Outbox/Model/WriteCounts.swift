/// The books of the outbox: gauges that change in the same transaction as the entries (P2).
///
/// `accepted = pending + delivered + rejected + superseded + dead + discarded + damaged` holds at every commit.
package struct WriteCounts: Sendable, Equatable {
    /// Writes that were ever committed.
    package var accepted: Int64 = 0
    /// Writes that have not ended; `held` is a part of them.
    package var pending: Int64 = 0
    /// Stored bytes (target, headers and body) of the pending and dead writes.
    package var storedBytes: Int64 = 0
    /// Pending writes that wait for an operator, or for their key, to be let go on.
    package var held: Int64 = 0
    /// Writes that the upstream took.
    package var delivered: Int64 = 0
    /// Writes that the upstream refused before their sender had a 202.
    package var rejected: Int64 = 0
    /// Writes that a later delivered one covered.
    package var superseded: Int64 = 0
    /// Writes that were refused, or grew too old, after their sender had a 202.
    package var dead: Int64 = 0
    /// Writes that an operator discarded.
    package var discarded: Int64 = 0
    /// Writes whose rows cannot be read, and that were set aside.
    package var damaged: Int64 = 0
    /// Receipts of ended writes that are kept; the dead are not among them.
    package var receipts: Int64 = 0

    /// No writes at all.
    package init() {}

    /// Whether every accepted write is in exactly one place (P2).
    package var isBalanced: Bool {
        // Damaged books may hold any number.
        accepted == pending &+ delivered &+ rejected &+ superseded &+ dead &+ discarded &+ damaged
            && held <= pending
    }

    mutating func countEnd(as state: WriteState) {
        switch state {
        case .pending, .inFlight, .held: preconditionFailure("a write ends in an ended state")
        case .delivered: delivered += 1
        case .rejected: rejected += 1
        case .superseded: superseded += 1
        case .dead: dead += 1
        case .discarded: discarded += 1
        }
        pending -= 1
        if state != .dead { receipts += 1 }
    }
}
