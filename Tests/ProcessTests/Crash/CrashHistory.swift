import AdminAPI

/// All the evidence of a crash test, gathered when everything has ended.
struct CrashHistory: Sendable {
    /// In the order in which they were made.
    var writes: [CrashWrite] = []
    /// By their ids; nil where the relay does not know of one that it once named.
    var receipts: [String: Receipt] = [:]
    /// In the order in which the upstream saw them.
    var attempts: [CrashAttempt] = []
    /// The relay's own books.
    var books = RelayStatus.Outbox()
}

/// What became of the writes of a crash test.
struct CrashTally: Sendable, Codable, Equatable {
    var writes = 0
    /// Answered with a 2xx.
    var acknowledged = 0
    /// Answered with anything else.
    var refused = 0
    /// Not answered: the relay was killed meanwhile.
    var unknown = 0
    /// Of the unknown ones, those that the upstream has seen.
    var unknownSeen = 0
    var delivered = 0
    var superseded = 0
    var dead = 0
    /// Held by the replay rule, as a later write to the contact was delivered meanwhile; delivered once an operator lets
    /// them go.
    var held = 0
    var rejected = 0
    /// Attempts at the upstream.
    var attempts = 0
    /// Attempts with a write that had taken effect before.
    var repeats = 0
}
