/// What an API key may not see any more, as the upstream has refused a request with it (P4).
package enum KeyRefusal: Sendable, Equatable {
    /// Everything: the key is not good (401).
    case everything
    /// The one target that was asked for (403).
    case target
}
