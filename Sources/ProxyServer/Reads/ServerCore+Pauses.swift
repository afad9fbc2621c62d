import NIOHTTP1
import Outbox
import ResponseCache
import Upstream

extension ServerCore {
    /// Pauses the reads of a key whose request the upstream has answered with 429 and a `Retry-After` (RFC 6585 §4).
    ///
    /// While the pause lasts, the upstream is not asked for what may be served stale. It is bounded by
    /// `writes.retry.max_retry_after`. Requests without a key are of many clients, who do not pause each other.
    func noteRateLimit(_ reply: ReplyHead, of key: KnownKey?) {
        guard reply.status == 429, let key, let value = reply.headers.first(name: "Retry-After"),
            let wait = RetryAfter.parse(
                value,
                replyDate: reply.headers.first(name: "Date"),
                nowUnixSeconds: reply.times.responseUnixSeconds
            )
        else { return }
        let milliseconds = min(wait.components.seconds * 1000, configuration.maxRetryAfterMilliseconds)
        reads.pause(CachePartition(key.fingerprint), milliseconds: milliseconds)
    }
}
