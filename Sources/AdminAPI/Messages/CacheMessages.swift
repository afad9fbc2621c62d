/// What to drop from the cache.
package struct CachePurgeRequest: Codable, Sendable, Equatable {
    /// A path, which goes with every query, for all keys, and with everything below it; nil for everything.
    package var path: String?

    /// Asks for it.
    package init(path: String?) { self.path = path }
}

/// What was dropped.
package struct CachePurgeReply: Codable, Sendable, Equatable {
    /// The path as it was understood.
    package var path: String
    /// Stored replies that memory had.
    package var memoryReplies: Int
    /// Whether it is gone from the disk for good, or never was there; else it is out of reach, and goes when the disk
    /// works again.
    package var goneFromDisk: Bool

    /// Describes it.
    package init(path: String, memoryReplies: Int, goneFromDisk: Bool) {
        (self.path, self.memoryReplies, self.goneFromDisk) = (path, memoryReplies, goneFromDisk)
    }
}

/// What a full check of the outbox has found.
package struct CheckReply: Codable, Sendable, Equatable {
    /// What is wrong; empty when nothing is.
    package var findings: [String]

    /// Describes it.
    package init(findings: [String]) { self.findings = findings }
}
