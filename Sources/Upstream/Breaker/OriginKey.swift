/// Where a request came from as far as blame is concerned: one contact's lane, or one URL.
///
/// The breaker counts each origin at most once, so that one poisonous entry cannot open it (design §4).
package struct OriginKey: Hashable, Sendable {
    private let hash: UInt64

    /// Makes a key out of a number that identifies the origin, such as a hash that the caller already has.
    package init(hash: UInt64) {
        self.hash = hash
    }

    /// Makes a key out of a name, such as a path or `audience/contact`.
    ///
    /// Only a hash is kept: the breaker remembers origins for as long as an outage lasts, and has no business
    /// remembering contact identifiers. A collision makes two origins count as one, which errs towards patience.
    package init(_ name: String) {
        var hasher = Hasher()
        hasher.combine(name)
        self.hash = UInt64(bitPattern: Int64(hasher.finalize()))
    }
}
