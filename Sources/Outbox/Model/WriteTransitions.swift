/// What has happened to writes since the daemon started: counters beside the books, which are gauges (P2).
///
/// A write that dies, is retried and dies again is counted twice; the books have it once.
package struct WriteTransitions: Sendable, Equatable {
    /// Writes that the upstream took.
    package var delivered: Int64 = 0
    /// Writes that the upstream refused before their sender had a 202.
    package var rejected: Int64 = 0
    /// Writes that a later one covered.
    package var superseded: Int64 = 0
    /// Writes that died.
    package var dead: Int64 = 0
    /// Writes that an operator discarded.
    package var discarded: Int64 = 0
    /// Dead writes that an operator made pending again.
    package var retried: Int64 = 0
    /// Attempts to deliver, by what they came to.
    package var attempts = Attempts()

    /// Attempts to deliver whose outcome is durable.
    package struct Attempts: Sendable, Equatable {
        /// The upstream took the write.
        package var delivered: Int64 = 0
        /// It refused it for good.
        package var refused: Int64 = 0
        /// It refused the key, or what the key may do, and the write is held.
        package var held: Int64 = 0
        /// It answered, and the write is to be sent again.
        package var unready: Int64 = 0
        /// There was no complete reply.
        package var failed: Int64 = 0

        /// No attempts.
        package init() {}
    }

    /// Nothing has happened yet.
    package init() {}

    mutating func count(_ end: EndRecord) {
        switch end.state {
        case .pending, .inFlight, .held: preconditionFailure("a write ends in an ended state")
        case .delivered: delivered += 1
        case .rejected: rejected += 1
        case .superseded: superseded += 1
        case .dead: dead += 1
        case .discarded: discarded += 1
        }
        superseded += Int64(end.covered.count)
        // What expires, or is ended by hand, ends without an attempt.
        guard end.response != nil else { return }
        if end.state == .delivered { attempts.delivered += 1 } else { attempts.refused += 1 }
    }

    mutating func count(_ attempt: AttemptRecord) {
        switch attempt.after.log.entries.last?.status {
        case 401, 403: attempts.held += 1
        case .some: attempts.unready += 1
        case nil: attempts.failed += 1
        }
    }
}
