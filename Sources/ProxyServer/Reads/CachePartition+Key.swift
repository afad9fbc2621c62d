package import Outbox
package import ResponseCache

extension CachePartition {
    /// The private cache of a key, named by its keyed hash (P4).
    package init(_ key: KeyFingerprint) { self = .key(high: key.high, low: key.low) }
}
