/// Whose replies an entry belongs to (P4).
package enum CachePartition: Hashable, Sendable {
    /// Requests without an API key: a shared cache (RFC 9111 §1).
    case shared
    /// Requests with one API key: its private cache, named by the key's keyed hash, never by the key.
    case key(high: UInt64, low: UInt64)
}
