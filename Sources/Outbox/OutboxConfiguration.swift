package import DexatelAPI

/// The bounds and delays of the outbox; times in milliseconds (design §2.3).
package struct OutboxConfiguration: Sendable {
    /// `state.directory`.
    package var stateDirectory: String
    /// `$CREDENTIALS_DIRECTORY`, where a systemd credential `master-key` may be.
    package var credentialsDirectory: String?
    /// `writes.max_pending`.
    package var maxPending: Int
    /// `writes.max_pending_bytes`.
    package var maxPendingBytes: Int
    /// `writes.max_pending_unverified_per_key`.
    package var maxPendingUnverifiedPerKey: Int
    /// `writes.max_pending_unverified`.
    package var maxPendingUnverified: Int
    /// `writes.max_unverified_keys`.
    package var maxUnverifiedKeys: Int
    /// `writes.max_dead`: dead writes of one key; beyond it that key's writes get 503.
    package var maxDead: Int
    /// `writes.max_receipts`: beyond it the oldest receipts go.
    package var maxReceipts: Int
    /// `writes.max_waiting`.
    package var maxWaiting: Int
    /// `upstream.max_concurrent_writes`.
    package var maxConcurrentWrites: Int
    /// `writes.min_free_disk`.
    package var minFreeDiskBytes: Int
    /// `writes.max_age`.
    package var maxAgeMilliseconds: Int64
    /// `writes.keep_receipts`.
    package var keepReceiptsMilliseconds: Int64
    /// `writes.not_found_grace`.
    package var notFoundGraceMilliseconds: Int64
    /// `writes.foreign_reply_grace`.
    package var foreignReplyGraceMilliseconds: Int64
    /// `writes.max_deaths_per_minute`.
    package var maxDeathsPerMinute: Int
    /// `writes.hold_probe`.
    package var holdProbeMilliseconds: Int64
    /// `writes.settle`.
    package var settleMilliseconds: Int64
    /// `writes.retry.max_retry_after`.
    package var maxRetryAfterMilliseconds: Int64
    /// `writes.supersede`.
    package var supersedes: Bool
    /// `writes.put_semantics`.
    package var putSemantics: PutSemantics

    /// The defaults of design §2.3, over a state directory.
    package init(stateDirectory: String) {
        self.stateDirectory = stateDirectory
        credentialsDirectory = nil
        maxPending = 1_000_000
        maxPendingBytes = 2 << 30
        maxPendingUnverifiedPerKey = 1_000
        maxPendingUnverified = 10_000
        maxUnverifiedKeys = 10_000
        maxDead = 100_000
        maxReceipts = 1_000_000
        maxWaiting = 1_024
        maxConcurrentWrites = 8
        minFreeDiskBytes = 64 << 20
        maxAgeMilliseconds = 7 * 86_400_000
        keepReceiptsMilliseconds = 86_400_000
        notFoundGraceMilliseconds = 300_000
        foreignReplyGraceMilliseconds = 3_600_000
        maxDeathsPerMinute = 1_000
        holdProbeMilliseconds = 300_000
        settleMilliseconds = 0
        maxRetryAfterMilliseconds = 3_600_000
        supersedes = true
        putSemantics = .unknown
    }

    /// Where the database is.
    var databasePath: String { stateDirectory + "/outbox.sqlite" }

    var commitSettings: CommitThread.Settings {
        CommitThread.Settings(
            stateDirectory: stateDirectory,
            minFreeDiskBytes: Int64(minFreeDiskBytes),
            keepReceiptsMilliseconds: keepReceiptsMilliseconds,
            maxReceipts: Int64(maxReceipts),
            maxAgeMilliseconds: maxAgeMilliseconds,
            maxUnverifiedKeys: maxUnverifiedKeys
        )
    }

    var laneLimits: LaneLimits {
        var limits = LaneLimits()
        limits.maxWaiting = maxWaiting
        limits.maxInFlight = maxConcurrentWrites
        limits.maxAgeMilliseconds = maxAgeMilliseconds
        limits.notFoundGraceMilliseconds = notFoundGraceMilliseconds
        limits.foreignReplyGraceMilliseconds = foreignReplyGraceMilliseconds
        limits.maxDeathsPerMinute = maxDeathsPerMinute
        limits.holdProbeMilliseconds = holdProbeMilliseconds
        limits.settleMilliseconds = settleMilliseconds
        limits.maxRetryAfterMilliseconds = maxRetryAfterMilliseconds
        limits.supersedes = supersedes
        limits.putSemantics = putSemantics
        return limits
    }
}
