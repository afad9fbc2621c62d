/// What the cache has done since it was made, and what it holds.
package struct CacheCounters: Sendable, Equatable {
    /// Answers that were fresh.
    package var hits: UInt64 = 0
    /// Requests for which nothing was stored, or nothing that matched.
    package var misses: UInt64 = 0
    /// Answers that were stale by permission.
    package var stale: UInt64 = 0
    /// Answers that were stale because the upstream had failed or was not there; counted as validations, too.
    package var staleOnError: UInt64 = 0
    /// Requests for which what was stored had to be confirmed.
    package var validations: UInt64 = 0
    /// Stored replies that the upstream has confirmed.
    package var revalidated: UInt64 = 0
    /// Replies stored, new ones and replacements.
    package var stored: UInt64 = 0
    /// Replies put back from disk.
    package var restored: UInt64 = 0
    /// Stored replies that made room for others.
    package var evicted: UInt64 = 0
    /// Stored replies that an unsafe request has put in doubt.
    package var invalidated: UInt64 = 0
    /// What the entries take now, everything counted.
    package var bytes = 0
    /// How many there are now.
    package var entries = 0

    static func += (sum: inout CacheCounters, part: CacheCounters) {
        sum.hits += part.hits
        sum.misses += part.misses
        sum.stale += part.stale
        sum.staleOnError += part.staleOnError
        sum.validations += part.validations
        sum.revalidated += part.revalidated
        sum.stored += part.stored
        sum.restored += part.restored
        sum.evicted += part.evicted
        sum.invalidated += part.invalidated
        sum.bytes += part.bytes
        sum.entries += part.entries
    }
}
