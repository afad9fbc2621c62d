import DexatelAPI

/// Bounds and delays of delivery; times in milliseconds.
struct LaneLimits: Sendable, Equatable {
    /// Lanes that are claimed ahead of the attempts at most, each with one write and its payload.
    var maxClaimed = 256
    /// With fewer of them, more are claimed.
    var minClaimed = 64
    /// Bytes of their payloads at most.
    var maxClaimedBytes = 4 << 20
    /// Senders that wait for the upstream's own reply at most (`writes.max_waiting`).
    var maxWaiting = 1024
    /// Writes under way at most (`upstream.max_concurrent_writes`).
    var maxInFlight = 8
    /// Writes that one delivery covers at most.
    var maxCovered = 256
    var maxAgeMilliseconds: Int64 = 7 * 86_400_000
    var notFoundGraceMilliseconds: Int64 = 300_000
    var foreignReplyGraceMilliseconds: Int64 = 3_600_000
    /// Acknowledged writes that become dead letters within a minute at most (`writes.max_deaths_per_minute`).
    var maxDeathsPerMinute = 1_000
    /// How long delivery pauses at a time while something else than the API answers, at most.
    var foreignPauseMilliseconds: Int64 = 2_000
    /// 2xx in a row with the same status that confirm nothing, after which a write is held.
    var maxUnconfirmed = 20
    var holdProbeMilliseconds: Int64 = 300_000
    /// Writes answered 403 that are tried again in each `hold_probe` at most.
    var maxForbiddenRetries = 256
    var settleMilliseconds: Int64 = 0
    var maxRetryAfterMilliseconds: Int64 = 3_600_000
    /// `writes.supersede`.
    var supersedes = true
    /// `writes.put_semantics`.
    var putSemantics = PutSemantics.unknown
}
