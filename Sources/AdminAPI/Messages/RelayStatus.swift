/// How a relay does, as `/_relay/status`, the admin socket and `contact-relay status` show it.
///
/// It holds no contact data and no keys, and grows by addition only.
package struct RelayStatus: Codable, Sendable, Equatable {
    /// The daemon itself.
    package struct Daemon: Codable, Sendable, Equatable {
        /// Its release.
        package var version: String
        /// Its process.
        package var pid: Int32
        /// When it started (RFC 3339).
        package var startedAt: String
        /// Connections of clients that are open.
        package var connections: Int
        /// Lines of the log that were dropped since the start; nil from a daemon that does not say.
        package var logLinesDropped: UInt64?
        /// Connections of clients that may be open at a time: `listen.max_connections`, or what descriptors allow.
        package var maxConnections: Int?
        /// Connections that could not be accepted, for want of a descriptor or of memory, each time that it was tried.
        package var acceptFailures: UInt64?

        /// Describes a daemon.
        package init(version: String, pid: Int32, startedAt: String, connections: Int) {
            self.version = version
            self.pid = pid
            self.startedAt = startedAt
            self.connections = connections
        }
    }

    /// The way to the upstream.
    package struct Upstream: Codable, Sendable, Equatable {
        /// Its address.
        package var url: String
        /// The breaker: `closed`, `open` or `half_open`.
        package var state: String
        /// Whether the latest attempt found somebody to connect to.
        package var reachable: Bool
        /// Since when it has been so (RFC 3339).
        package var since: String
        /// How long it has been so, in milliseconds.
        package var sinceMilliseconds: Int64
        /// How long until the next try, in milliseconds; only while the breaker is open.
        package var nextTryMilliseconds: Int64?
        /// Failures since the last good reply.
        package var consecutiveFailures: Int
        /// The last failure in words.
        package var lastError: String?
        /// Writes that may be under way at once, as the relay has found out; nil from a daemon that does not say.
        package var concurrencyLimit: Int?
        /// How often the breaker has come into each state since the daemon started; nil from a daemon that does not say.
        package var transitions: Transitions?

        /// Changes of the breaker.
        package struct Transitions: Codable, Sendable, Equatable {
            /// The upstream was back.
            package var closed: UInt64
            /// It was gone.
            package var open: UInt64
            /// A request was to find out.
            package var halfOpen: UInt64

            /// Counts changes.
            package init(closed: UInt64 = 0, open: UInt64 = 0, halfOpen: UInt64 = 0) {
                (self.closed, self.open, self.halfOpen) = (closed, open, halfOpen)
            }
        }

        /// Describes the way to an upstream.
        package init(
            url: String,
            state: String,
            reachable: Bool,
            since: String,
            sinceMilliseconds: Int64,
            nextTryMilliseconds: Int64?,
            consecutiveFailures: Int,
            lastError: String?
        ) {
            self.url = url
            self.state = state
            self.reachable = reachable
            self.since = since
            self.sinceMilliseconds = sinceMilliseconds
            self.nextTryMilliseconds = nextTryMilliseconds
            self.consecutiveFailures = consecutiveFailures
            self.lastError = lastError
        }
    }

    /// The outbox: its health and its books (P2).
    package struct Outbox: Codable, Sendable, Equatable {
        /// `working`, `disk_low`, `files_lost` or `failed`.
        package var state: String
        /// What is the matter, in words.
        package var detail: String?
        /// Writes that were ever committed.
        package var accepted: Int64
        /// Writes that have not ended; in flight and held ones are a part of them.
        package var pending: Int64
        /// Writes that are being sent just now.
        package var inFlight: Int64
        /// Writes that wait for their key or an operator.
        package var held: Int64
        /// Writes that the upstream took.
        package var delivered: Int64
        /// Writes that were refused before a 202.
        package var rejected: Int64
        /// Writes that a later one covered.
        package var superseded: Int64
        /// Writes that were refused after a 202.
        package var dead: Int64
        /// Writes that an operator discarded.
        package var discarded: Int64
        /// Writes whose rows are damaged, and that were set aside; nil from a daemon that does not say.
        package var damaged: Int64?
        /// Bytes of the stored writes.
        package var storedBytes: Int64
        /// Senders that wait for the upstream's reply just now.
        package var waiting: Int
        /// How old the oldest pending write is, in milliseconds.
        package var oldestPendingMilliseconds: Int64?
        /// Whether deliveries are paused; nil from a daemon that does not say.
        package var deliveriesPaused: Bool?
        /// Who has paused deliveries: `operator`, or `deaths` where too many acknowledged writes would die.
        package var deliveriesPausedBy: String?
        /// For how long the upstream still wants to be left alone, in milliseconds; nil when it does not.
        package var upstreamPausedMilliseconds: Int64?
        /// What has happened since the daemon started; nil from a daemon that does not say.
        package var sinceStart: Transitions?

        /// What has happened to writes: counters, where the rest are gauges.
        package struct Transitions: Codable, Sendable, Equatable {
            /// Writes that the upstream took.
            package var delivered: Int64 = 0
            /// Writes that were refused before a 202.
            package var rejected: Int64 = 0
            /// Writes that a later one covered.
            package var superseded: Int64 = 0
            /// Writes that died.
            package var dead: Int64 = 0
            /// Writes that an operator discarded.
            package var discarded: Int64 = 0
            /// Dead writes that an operator made pending again.
            package var retried: Int64 = 0
            /// Attempts to deliver.
            package var attempts = Attempts()

            /// Attempts to deliver, by what they came to.
            package struct Attempts: Codable, Sendable, Equatable {
                /// The upstream took the write.
                package var delivered: Int64 = 0
                /// It refused it for good.
                package var refused: Int64 = 0
                /// It answered 401 or 403, and the write is held.
                package var held: Int64 = 0
                /// It answered, and the write is to be sent again.
                package var unready: Int64 = 0
                /// There was no complete reply.
                package var failed: Int64 = 0
            }

            /// Nothing has happened.
            package init() {}
        }

        /// Describes an empty outbox that works.
        package init() {
            state = "working"
            (accepted, pending, inFlight, held, delivered) = (0, 0, 0, 0, 0)
            (rejected, superseded, dead, discarded, storedBytes, waiting) = (0, 0, 0, 0, 0, 0)
        }
    }

    /// The cache of reads.
    package struct Cache: Codable, Sendable, Equatable {
        /// Stored replies.
        package var entries: Int
        /// What they take in memory.
        package var bytes: Int
        /// What they may take (`reads.memory`).
        package var maxBytes: Int
        /// Reads answered with something fresh.
        package var hits: UInt64
        /// Reads answered with something stale, by permission.
        package var stale: UInt64
        /// Reads answered with something stale because the upstream failed; counted as validations, too.
        package var staleOnError: UInt64
        /// Reads for which nothing was stored.
        package var misses: UInt64
        /// Reads for which the upstream had to confirm what was stored.
        package var validations: UInt64
        /// Stored replies that the upstream has confirmed.
        package var revalidated: UInt64
        /// Replies that were stored.
        package var stored: UInt64
        /// Stored replies that made room for others.
        package var evicted: UInt64
        /// Stored replies that writes have put in doubt.
        package var invalidated: UInt64
        /// Reads that wait for another one's reply just now.
        package var waiting: Int
        /// Reads that were answered with another one's reply; nil from a daemon that does not say.
        package var collapsed: UInt64?

        /// What the cache has on disk; nil where nothing is kept there.
        package var disk: Disk?

        /// The cache's file.
        package struct Disk: Codable, Sendable, Equatable {
            /// Whether it reads and writes just now; after a failure it does not for a while.
            package var isAvailable = false
            /// Stored replies.
            package var entries = 0
            /// What the file takes.
            package var bytes = 0
            /// What it may take (`reads.disk`).
            package var maxBytes: Int
            /// Replies that were looked for because memory did not have them.
            package var lookups: UInt64 = 0
            /// Those that were found.
            package var found: UInt64 = 0
            /// Replies that came too fast to be written.
            package var dropped: UInt64 = 0
            /// Failures of the disk.
            package var failures: UInt64 = 0

            /// Describes an empty file.
            package init(maxBytes: Int) { self.maxBytes = maxBytes }
        }

        /// Describes an empty cache.
        package init(maxBytes: Int) {
            (entries, bytes, self.maxBytes, waiting) = (0, 0, maxBytes, 0)
            (hits, stale, staleOnError, misses, validations, revalidated) = (0, 0, 0, 0, 0, 0)
            (stored, evicted, invalidated) = (0, 0, 0)
        }

        /// The part of all reads that were answered without waiting for the upstream, in percent; nil before the first.
        package var hitPercent: Int? {
            let all = hits + stale + misses + validations
            return all == 0 ? nil : Int((hits + stale + staleOnError) * 100 / all)
        }
    }

    /// The telling of deaths (`writes.on_dead_url`).
    package struct Webhook: Codable, Sendable, Equatable {
        /// Dead writes that nobody was told of yet.
        package var waiting = 0
        /// Events that were taken since the start.
        package var told: UInt64 = 0
        /// Events that were not, each time.
        package var failures: UInt64 = 0
        /// Those since the last one that was taken.
        package var failuresInARow = 0
        /// What went wrong last, if anything has since.
        package var lastError: String?

        /// Describes a webhook that nothing was told yet.
        package init() {}
    }

    /// The daemon itself.
    package var daemon: Daemon
    /// The way to the upstream.
    package var upstream: Upstream
    /// The outbox.
    package var outbox: Outbox
    /// The cache; nil from a daemon that has none.
    package var cache: Cache?
    /// The telling of deaths; nil where there is no `writes.on_dead_url`.
    package var webhook: Webhook?
    /// The configuration in force; nil from a daemon that cannot reload it.
    package var configuration: Configuration?

    /// Puts a status together.
    package init(
        daemon: Daemon,
        upstream: Upstream,
        outbox: Outbox,
        cache: Cache? = nil,
        webhook: Webhook? = nil,
        configuration: Configuration? = nil
    ) {
        self.daemon = daemon
        self.upstream = upstream
        self.outbox = outbox
        self.cache = cache
        self.webhook = webhook
        self.configuration = configuration
    }
}
