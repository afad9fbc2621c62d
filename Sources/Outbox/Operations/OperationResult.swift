/// What became of an operator's command.
package struct OperationResult: Sendable, Equatable {
    /// Refusals that are told one by one.
    package static let maxRefusals = 100

    /// Why a write was left as it is.
    package struct Refusal: Sendable, Equatable {
        /// The write.
        package var id: WriteID
        /// Why.
        package var reason: Reason
    }

    /// Why a write was left as it is.
    package enum Reason: String, Sendable, CaseIterable {
        /// It is not in a state that the command is for (any more).
        case otherState = "other_state"
        /// It is being sent just now.
        case inFlight = "in_flight"
        /// A later write to the contact was delivered meanwhile; the command may be forced (design §3.3, replay rule).
        case overtaken
        /// All that it sets was set by later writes.
        case nothingLeft = "nothing_left"
        /// The upstream refuses its key.
        case keyRefused = "key_refused"
        /// Its contact is stopped.
        case contactStopped = "contact_stopped"
    }

    /// Writes that were changed.
    package var changed = 0
    /// Writes that were not.
    package var refused = 0
    /// The first of them.
    package var refusals: [Refusal] = []
    /// How many of them for which reason.
    package var reasons: [Reason: Int] = [:]

    /// So many changes, and no refusals yet.
    package init(changed: Int = 0) { self.changed = changed }

    mutating func refuse(_ id: WriteID, _ reason: Reason) {
        refused += 1
        reasons[reason, default: 0] += 1
        if refusals.count < Self.maxRefusals { refusals.append(Refusal(id: id, reason: reason)) }
    }

    /// Adds what became of a further part.
    package mutating func add(_ other: OperationResult) {
        changed += other.changed
        refused += other.refused
        reasons.merge(other.reasons, uniquingKeysWith: +)
        refusals += other.refusals.prefix(Self.maxRefusals - refusals.count)
    }
}
