/// Which writes are meant; what is not given does not narrow.
package struct WriteSelector: Codable, Sendable, Equatable {
    /// The states that a write can be in.
    package static let allStates = [
        "pending", "in_flight", "held", "delivered", "rejected", "superseded", "dead", "discarded",
    ]
    /// Those in which it may still be sent, or be sent again.
    package static let openStates = ["pending", "in_flight", "held", "dead"]
    /// Identifiers in one selector at most (P8).
    package static let maxIDs = 1_000

    /// In one of these states; nil for any.
    package var states: [String]?
    /// These writes alone, `maxIDs` at most.
    package var ids: [String]?
    /// To this contact.
    package var contact: ContactName?
    /// To contacts of this audience.
    package var audienceId: String?
    /// Made with a key whose fingerprint begins so.
    package var keyFingerprint: String?
    /// Accepted longer ago than so many milliseconds.
    package var olderThanMilliseconds: Int64?
    /// The upstream's last status.
    package var status: Int?
    /// The upstream's error code in its last reply.
    package var errorCode: Int?

    /// Selects everything.
    package init() {}
}

/// Asks for a part of what a selector finds.
package struct WritePageRequest: Codable, Sendable, Equatable {
    /// Which writes.
    package var selector: WriteSelector
    /// Where the last part ended (`next`); nil for the first.
    package var after: Int64?
    /// Writes in the part at most; the daemon has a bound of its own.
    package var limit: Int?

    /// Asks for a part.
    package init(_ selector: WriteSelector, after: Int64? = nil, limit: Int? = nil) {
        (self.selector, self.after, self.limit) = (selector, after, limit)
    }
}

/// How many writes a part of what a selector finds has.
package struct WriteCountPart: Codable, Sendable, Equatable {
    /// How many.
    package var count: Int
    /// Where to go on; nil when nothing more is there.
    package var next: Int64?

    /// Describes a part.
    package init(count: Int, next: Int64?) { (self.count, self.next) = (count, next) }
}
