/// What can be done to the writes of a selector.
package enum WriteCommand: String, Codable, Sendable, CaseIterable {
    /// Sends dead writes again.
    case retry
    /// Lets held writes go.
    case release
    /// Ends writes that have not been delivered, for good.
    case discard
}

/// Asks for a change of what a selector finds.
package struct WriteChangeRequest: Codable, Sendable, Equatable {
    /// Which writes.
    package var selector: WriteSelector
    /// Whether the replay rule is to be set aside.
    package var force: Bool
    /// Where the last part ended (`next`); nil for the first.
    package var after: Int64?

    /// Asks for a change.
    package init(_ selector: WriteSelector, force: Bool = false, after: Int64? = nil) {
        (self.selector, self.force, self.after) = (selector, force, after)
    }
}

/// What became of a change, as far as one request has carried it.
package struct WriteChangeReply: Codable, Sendable, Equatable {
    /// A write that was left as it is.
    package struct Refusal: Codable, Sendable, Equatable {
        /// The write.
        package var id: String
        /// Why: `other_state`, `in_flight`, `overtaken`, `nothing_left`, `key_refused` or `contact_stopped`.
        package var reason: String

        /// Describes a refusal.
        package init(id: String, reason: String) { (self.id, self.reason) = (id, reason) }
    }

    /// How many were left for one reason.
    package struct Reason: Codable, Sendable, Equatable {
        /// The reason.
        package var reason: String
        /// How many.
        package var count: Int

        /// Describes a count.
        package init(reason: String, count: Int) { (self.reason, self.count) = (reason, count) }
    }

    /// Refusals that are told one by one.
    package static let maxRefusals = 100

    /// Writes that were changed.
    package var changed = 0
    /// Writes that were left as they are.
    package var refused = 0
    /// For which reasons.
    package var reasons: [Reason] = []
    /// The first refusals.
    package var refusals: [Refusal] = []
    /// Where to go on; nil when all is done.
    package var next: Int64?

    /// Nothing yet.
    package init() {}

    /// Adds what became of a further part.
    package mutating func add(_ other: WriteChangeReply) {
        changed += other.changed
        refused += other.refused
        for reason in other.reasons {
            if let known = reasons.firstIndex(where: { $0.reason == reason.reason }) {
                reasons[known].count += reason.count
            } else {
                reasons.append(reason)
            }
        }
        refusals += other.refusals.prefix(max(0, Self.maxRefusals - refusals.count))
        next = other.next
    }
}
