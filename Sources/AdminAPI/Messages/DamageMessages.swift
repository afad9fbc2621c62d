/// A part of the damaged writes that were set aside.
package struct DamagedWrites: Codable, Sendable, Equatable {
    /// One of them.
    package struct Item: Codable, Sendable, Equatable {
        /// Its place in the order of commit.
        package var sequence: Int64
        /// `pending`, `dead`, or `receipt` of a write that had ended.
        package var place: String
        /// When it was set aside (RFC 3339).
        package var foundAt: String
        /// What cannot be read.
        package var reason: String
        /// The columns of its row as a JSON object: the type of each, and its `text` or `base64`.
        package var content: String

        /// Describes one.
        package init(sequence: Int64, place: String, foundAt: String, reason: String, content: String) {
            (self.sequence, self.place, self.foundAt) = (sequence, place, foundAt)
            (self.reason, self.content) = (reason, content)
        }
    }

    /// The writes, in order.
    package var writes: [Item]
    /// Where to go on; nil at the end.
    package var next: Int64?

    /// Describes a part.
    package init(writes: [Item], next: Int64?) { (self.writes, self.next) = (writes, next) }
}

/// Which part of the damaged writes is wanted.
package struct DamagedWritesRequest: Codable, Sendable, Equatable {
    /// Where the last part ended.
    package var after: Int64?

    /// Asks for a part.
    package init(after: Int64?) { self.after = after }
}

/// Damaged writes that are discarded.
package struct DiscardDamagedRequest: Codable, Sendable, Equatable {
    /// Their sequences.
    package var sequences: [Int64]

    /// Names them.
    package init(sequences: [Int64]) { self.sequences = sequences }
}

/// How many damaged writes were discarded.
package struct DiscardDamagedReply: Codable, Sendable, Equatable {
    /// Their number.
    package var changed: Int

    /// Describes it.
    package init(changed: Int) { self.changed = changed }
}
