import DexatelAPI

/// What an acknowledged write will make of its contact, for reads that come before the upstream has it (P5).
package struct PendingChange: Sendable, Equatable {
    /// One member of a write's `data`.
    package struct Field: Sendable, Equatable {
        /// The member's name, unescaped.
        package let name: String
        /// The member's value: one well-formed JSON value, byte for byte as it came.
        package let value: [UInt8]

        /// Names a member and its value.
        package init(name: String, value: [UInt8]) {
            self.name = name
            self.value = value
        }
    }

    /// What the write does.
    package enum Effect: Sendable, Equatable {
        /// A PUT that sets these fields, in the order of its body.
        case update([Field])
        /// A DELETE.
        case delete
    }

    /// The place in the order of commit (P3).
    package let sequence: Int64
    /// What the write does.
    package let effect: Effect
    /// Whether the upstream has the write already, and it is shown over list pages that were fetched before.
    package let isDelivered: Bool

    /// Puts a change together.
    package init(sequence: Int64, effect: Effect, isDelivered: Bool = false) {
        self.sequence = sequence
        self.effect = effect
        self.isDelivered = isDelivered
    }

    /// Reads the fields out of the body of a PUT; nil for a body that was never accepted as one.
    ///
    /// Lengths are not judged again: the operator may have changed the limits since the write was accepted.
    package init?(sequence: Int64, putBody body: UnsafeRawBufferPointer, isDelivered: Bool = false) {
        let limits = ContactFieldLimits(firstName: .max, lastName: .max, timestamp: .max, date: .max)
        guard let update = try? ContactUpdate.check(body, limits: limits) else { return nil }
        let fields = update.members.map { Field(name: $0.name, value: Array(body[$0.value])) }
        self.init(sequence: sequence, effect: .update(fields), isDelivered: isDelivered)
    }
}
