package import DexatelAPI

extension RelayConfiguration {
    /// Settings of the outbox: bounds before a write is accepted, patience after it.
    package struct Writes: Sendable, Equatable {
        /// How long a request waits for the upstream's own reply before it gets a 202; zero never waits.
        package var replyWait: Duration = .seconds(2)
        /// The longest wait that a request may ask for with `Prefer: wait=N`.
        package var maxReplyWait: Duration = .seconds(30)
        /// The number of requests that wait at a time; further ones get a 202 at once.
        package var maxWaiting = 1024
        /// The status of a reply to a queued write.
        package var acceptedStatus: AcceptedStatus = .accepted
        /// The number of writes that are not finished.
        package var maxPending = 1_000_000
        /// The size of the bodies of all writes that are not finished.
        package var maxPendingBytes = 2 << 30
        /// The number of unfinished writes of one key that has never succeeded upstream.
        package var maxPendingUnverifiedPerKey = 1000
        /// The number of unfinished writes of all keys that have never succeeded upstream.
        package var maxPendingUnverified = 10_000
        /// `writes.max_unverified_keys`.
        package var maxUnverifiedKeys = 10_000
        /// The number of dead writes of one key.
        package var maxDead = 100_000
        /// Acknowledged writes that become dead letters within a minute at most.
        package var maxDeathsPerMinute = 1_000
        /// The number of receipts that are kept.
        package var maxReceipts = 1_000_000
        /// Whether a later write may stand for earlier ones that it covers.
        package var supersede = true
        /// What the upstream's Update does to the fields that it leaves out.
        package var putSemantics = PutSemantics.unknown
        /// The age at which an undelivered write becomes dead.
        package var maxAge: Duration = .seconds(7 * 86_400)
        /// How long a receipt is kept after its write has ended.
        package var keepReceipts: Duration = .seconds(86_400)
        /// The size of one write's body.
        package var maxBodyBytes = 64 << 10
        /// The free space on the state directory's disk below which no write is accepted.
        package var minFreeDiskBytes = 64 << 20
        /// How long a 404 without the upstream's error shape is retried.
        package var notFoundGrace: Duration = .seconds(300)
        /// How long a refusal without the upstream's error shape is retried.
        package var foreignReplyGrace: Duration = .seconds(3600)
        /// The time between two attempts with a key that the upstream refuses.
        package var holdProbe: Duration = .seconds(300)
        /// How long a contact's next write waits after an attempt with an unknown outcome.
        package var settle: Duration = .zero
        /// Where each dead write is told.
        package var onDeadURL: String?
        /// The lengths of a contact's fields.
        package var limits = Limits()
        /// The pauses between attempts.
        package var retry = Retry()
    }
}

extension RelayConfiguration.Writes {
    /// The status of a reply to a queued write.
    package enum AcceptedStatus: String, Sendable, CaseIterable {
        /// 202 for every queued write.
        case accepted = "202"
        /// What the upstream answers: 200 to PUT, 204 to DELETE.
        case upstream
    }

    /// The lengths of a contact's fields, in Unicode scalars.
    package struct Limits: Sendable, Equatable {
        /// The length of `first_name`.
        package var firstName = 32
        /// The length of `last_name`.
        package var lastName = 32
        /// The length of `timestamp`.
        package var timestamp = 32
        /// The length of `date`.
        package var date = 70
    }

    /// The pauses between attempts of one write.
    package struct Retry: Sendable, Equatable {
        /// The upper end of the first pause.
        package var initial: Duration = .seconds(1)
        /// The upper end of every later pause.
        package var max: Duration = .seconds(900)
        /// The longest `Retry-After` that is obeyed.
        package var maxRetryAfter: Duration = .seconds(3600)
    }
}
