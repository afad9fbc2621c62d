/// What the disk tier has done since it was made, and what it holds.
package struct DiskCacheCounters: Sendable, Equatable {
    /// Look-ups, for what memory did not have.
    package var lookups: UInt64 = 0
    /// Look-ups that found something.
    package var found: UInt64 = 0
    /// Replies written.
    package var written: UInt64 = 0
    /// Replies that were not written: there was no room in the queue, or the disk had failed.
    package var dropped: UInt64 = 0
    /// Replies that made room for others.
    package var evicted: UInt64 = 0
    /// Failures of the disk; each turns the tier off for a while.
    package var failures: UInt64 = 0
    /// Files that were set aside as damaged or foreign.
    package var setAside: UInt64 = 0
    /// Whether it reads and writes just now.
    package var isAvailable = false
    /// How many replies there are now.
    package var replies = 0
    /// What the database takes now.
    package var bytes = 0
    /// What waits to be written.
    package var queuedBytes = 0
}
