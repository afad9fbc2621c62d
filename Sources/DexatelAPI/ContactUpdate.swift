/// What an Update's body sets: the members of its `data`, which stay where they are in the body.
package struct ContactUpdate: Sendable, Equatable {
    /// One member of `data`.
    package struct Member: Sendable, Equatable {
        /// The member's name, unescaped.
        package let name: String
        /// The bytes of the member's JSON value in the body, as they came.
        package let value: Range<Int>

        /// Names a member and where its value lies.
        package init(name: String, value: Range<Int>) {
            self.name = name
            self.value = value
        }
    }

    /// The members of `data` in their order; empty when `data` is absent or `{}`.
    package let members: [Member]

    /// Whether the body has members beside `data`, whose meaning is the upstream's business.
    package let hasOtherMembers: Bool

    /// Takes members that have been found in a body.
    package init(members: [Member], hasOtherMembers: Bool = false) {
        self.members = members
        self.hasOtherMembers = hasOtherMembers
    }

    /// The names of the members, in their order: what decides which write covers which (design §3.4).
    package var fieldNames: [String] { members.map(\.name) }

    /// How deep objects and arrays of a body may nest, the outermost object included (P8).
    package static let maxNesting = 64
}
