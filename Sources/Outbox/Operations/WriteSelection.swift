package import DexatelAPI

/// Which writes an operator means (design §2.2); what is not given does not narrow.
package struct WriteSelection: Sendable, Equatable {
    /// Identifiers in one selection at most (P8).
    package static let maxIDs = 1_000

    /// In one of these states; empty for any.
    package var states: Set<WriteState> = []
    /// These writes alone.
    package var ids: [WriteID] = []
    /// To this contact.
    package var contact: ContactReference?
    /// To contacts of this audience.
    package var audience: UInt128?
    /// Made with a key whose fingerprint begins so, in hexadecimal digits.
    package var keyFingerprintPrefix: String?
    /// Accepted longer ago than so many milliseconds.
    package var olderThanMilliseconds: Int64?
    /// The upstream's last status.
    package var status: Int?
    /// The upstream's error code in its last reply (1361).
    package var errorCode: Int?

    /// Selects everything.
    package init() {}

    /// Selects these writes.
    package init(ids: [WriteID]) { self.ids = ids }

    /// Selects writes in these states.
    package init(states: Set<WriteState>) { self.states = states }
}

/// A part of what a selection finds, in the order of sequence.
package struct WritePage: Sendable {
    /// What was found.
    package var writes: [WriteEntry]
    /// Where to go on; nil when nothing more is there.
    ///
    /// A page may be empty and not the last: looking is bounded, too.
    package var next: Int64?
}

/// A write as listings show it.
package struct WriteEntry: Sendable, Equatable {
    /// What is known of it.
    package var receipt: Receipt
    /// The bytes that it takes; 0 once its body is gone.
    package var storedBytes: Int
}

/// A write with all that is kept of it.
package struct WriteDetails: Sendable, Equatable {
    /// What is known of it.
    package var entry: WriteEntry
    /// What it sends, while that is kept: until it has ended, and of the dead.
    package var payload: WritePayload?
    /// The names of what it sets; nil when nobody can say, or when it has ended.
    package var fieldNames: [String]?
}

/// A page as the database gives it.
struct StoredPage: Sendable {
    var entries: [WriteEntry]
    var next: Int64?
}
