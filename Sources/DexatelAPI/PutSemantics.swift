/// What an Update does to the fields that it leaves out: the upstream's documents do not say.
package enum PutSemantics: String, Sendable, CaseIterable {
    /// Nobody has said; nothing may depend on either reading.
    case unknown
    /// Fields left out keep their values.
    case merge
    /// Fields left out are cleared.
    case replace
}
