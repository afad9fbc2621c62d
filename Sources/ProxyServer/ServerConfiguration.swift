package import DexatelAPI

/// The bounds and habits of the server (design §2.3).
package struct ServerConfiguration: Sendable {
    /// `listen.address`; nil for no TCP.
    package var address: String? = "127.0.0.1"
    /// `listen.port`; 0 lets the system choose.
    package var port = 8080
    /// `listen.unix_socket`.
    package var unixSocket: String?
    /// `listen.max_connections`.
    package var maxConnections = 4096
    /// `listen.max_head`.
    package var maxHeadBytes = 16 * 1024
    /// `listen.head_timeout`.
    package var headTimeoutSeconds = 10
    /// `listen.idle_timeout`.
    package var idleTimeoutSeconds = 75
    /// `listen.max_buffered_bytes`.
    package var maxBufferedBytes = 64 << 20
    /// `writes.max_body`.
    package var maxWriteBodyBytes = 64 * 1024
    /// `writes.limits`.
    package var fieldLimits = ContactFieldLimits()
    /// `writes.reply_wait`.
    package var replyWaitMilliseconds: Int64 = 2_000
    /// `writes.max_reply_wait`.
    package var maxReplyWaitMilliseconds: Int64 = 30_000
    /// `writes.accepted_status: upstream`: 200 for PUT and 204 for DELETE instead of 202.
    package var acceptsWithUpstreamStatus = false
    /// Who may ask.
    package var clients = ClientGuardSettings()
    /// `reads.reply_wait`: how long a read waits for the upstream while something stale may be served.
    package var readReplyWaitMilliseconds: Int64 = 2_000
    /// `writes.retry.max_retry_after`: the longest pause of a key's reads after a 429.
    package var maxRetryAfterMilliseconds: Int64 = 3_600_000
    /// `reads.max_waiters`.
    package var maxReadWaiters = 1024

    /// The defaults.
    package init() {}
}
