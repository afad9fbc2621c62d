/// What the sender of a write is told; each submitted write gets exactly one.
package enum WriteAnswer: Sendable {
    /// Committed; the upstream's reply is not waited for (any longer): 202.
    case accepted(WriteID)
    /// Committed, and this is the upstream's own reply, whose effect on the write is committed too.
    case replied(WriteID, DeliveryReply)
    /// Not accepted again: a write with the same `Idempotency-Key` and content is in the outbox already.
    case repeated(Receipt)
    /// Not accepted: a write with the same `Idempotency-Key` and other content is in the outbox: 422.
    case idempotencyConflict
    /// Not accepted, as was said already, and no repetition of what is in the outbox.
    case notRepeated
    /// Not known to be committed: 503 (P1: this means "unknown", not "refused").
    case unavailable(OutboxUnavailability)
}

/// Hears the answers of a batch of writes; one sink for each event loop makes that one hop a batch.
package protocol WriteAnswerSink: AnyObject, Sendable {
    /// Takes the answers; called off the event loop, never under a lock.
    func take(_ answers: [(token: UInt64, answer: WriteAnswer)])
}

/// The sink of writes whose senders have had their answer already.
final class UnheardAnswers: WriteAnswerSink {
    func take(_ answers: [(token: UInt64, answer: WriteAnswer)]) {}
}

/// Why the outbox takes no write just now.
package enum OutboxUnavailability: Sendable, Equatable {
    /// `writes.max_pending` or `writes.max_pending_bytes` is reached.
    case queueFull
    /// The key has `writes.max_dead` dead writes, which an operator has to see to.
    case deadLimit
    /// A key that has never succeeded upstream has `writes.max_pending_unverified…` writes pending already.
    case unverifiedKeyLimit
    /// The key is new, and there are `writes.max_unverified_keys` already that have never succeeded upstream.
    case keyLimit
    /// Less than `writes.min_free_disk` is free.
    case diskLow
    /// The database cannot be written; it is being reopened.
    case storageFailed
    /// The daemon is stopping.
    case stopping
}
