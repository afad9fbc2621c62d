import DexatelAPI

/// A write that a client of the crash test has made, and what it was told.
struct CrashWrite: Sendable {
    /// An API key; each has its part in the test.
    enum Key: String, Sendable, CaseIterable {
        case first = "crash-test-first-key"
        case second = "crash-test-second-key"
        /// The upstream refuses this one with 401 at times.
        case revocable = "crash-test-revocable-key"
    }

    /// What its sender knows.
    enum Outcome: Sendable, Equatable {
        /// The connection broke off: it may have been committed or not.
        case unknown
        /// A 2xx, with the receipt that it named.
        case acknowledged(id: String?, status: Int)
        /// Anything else; with a receipt if it had been committed.
        case refused(id: String?, status: Int)
    }

    /// What tells it apart, in the relay and at the upstream: it travels in the query.
    var tag: String
    var contact: String
    var key: Key
    var method: WriteVerb
    /// The fields of `data`; none for a DELETE.
    var fields: Set<String> = []
    var outcome = Outcome.unknown

    enum WriteVerb: String, Sendable {
        case put = "PUT"
        case delete = "DELETE"
    }

    /// Whether an earlier write is needless once this one is delivered (design §3.4).
    func covers(_ earlier: CrashWrite) -> Bool {
        guard contact == earlier.contact, key == earlier.key else { return false }
        switch (method, earlier.method) {
        case (.delete, _): return true
        case (.put, .put): return fields.isSuperset(of: earlier.fields)
        case (.put, .delete): return false
        }
    }
}

/// One request for a contact that the upstream saw.
struct CrashAttempt: Sendable {
    var tag: String
    var contact: String
    /// What was answered; 0 for nothing.
    var status: Int
    /// Whether it took effect.
    var isApplied: Bool

    /// An entry of the simulator's log; nil for what is not a write of the crash test.
    init?(_ entry: LogEntry) {
        let query = entry.target.split(separator: "?tag=").dropFirst().first.map { String($0) }
        let value = entry.body?.data?.values.compactMap { $0 }.first
        guard let contact = entry.contact, let tag = query ?? value, tag.first == "w", Int(tag.dropFirst()) != nil
        else { return nil }
        self.init(tag: tag, contact: contact, status: entry.status, isApplied: entry.applied)
    }

    init(tag: String, contact: String, status: Int, isApplied: Bool) {
        (self.tag, self.contact, self.status, self.isApplied) = (tag, contact, status, isApplied)
    }
}
