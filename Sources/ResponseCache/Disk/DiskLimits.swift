/// How `reads.disk` is divided, so that all files together keep to it.
struct DiskLimits: Sendable, Equatable {
    /// The least that makes sense; less counts as this.
    static let minBytes = 1 << 20

    /// What the database may take.
    let databaseBytes: Int
    /// Pages in the log after which a commit checkpoints.
    let checkpointPages: Int
    /// How many bytes of replies may wait to be written.
    let maxQueuedBytes: Int
    /// Longer replies are not written.
    let maxReplyBytes: Int

    init(maxBytes: Int) {
        let bytes = max(maxBytes, Self.minBytes)
        // The log holds up to a checkpoint's pages and one transaction more, which writes a good deal more pages than
        // its replies fill.
        let apart = min(bytes / 4, 32 << 20)
        databaseBytes = bytes - apart
        checkpointPages = apart / 8 / DiskStore.pageBytes
        maxQueuedBytes = apart / 8
        maxReplyBytes = apart / 8
    }
}
