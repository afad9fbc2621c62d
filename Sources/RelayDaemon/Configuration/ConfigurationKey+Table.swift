extension ConfigurationKey {
    /// Every key of the relay, in the order of the file.
    package static let all: [ConfigurationKey] = listen + upstream + writes + reads + daemon

    private static let listen: [ConfigurationKey] = [
        .init(
            "listen.address",
            \.listen.address,
            .optionalAddress,
            "Address that apps connect to, for `localhost` both families; without one they reach the relay by `listen.unix_socket` alone.",
            needsRestart: true
        ),
        .init(
            "listen.port",
            \.listen.port,
            .count(0...65_535),
            "TCP port that apps connect to; 0 lets the kernel choose.",
            needsRestart: true
        ),
        .init(
            "listen.unix_socket",
            \.listen.unixSocket,
            .optionalSocketPath,
            "Path of a Unix socket for apps, beside TCP.",
            needsRestart: true
        ),
        .init(
            "listen.allow_remote",
            \.listen.allowRemote,
            .boolean,
            "Admit a `listen.address` that other hosts can reach.",
            needsRestart: true
        ),
        .init(
            "listen.allowed_hosts",
            \.listen.allowedHosts,
            .hosts,
            "Names and addresses by which apps may address the relay, beside loopback and `listen.address`."
        ),
        .init(
            "listen.token_file",
            \.listen.tokenFile,
            .optionalPath,
            "File with the token that clients have to show (`Authorization: Bearer`).",
            derivedDefault: "`$CREDENTIALS_DIRECTORY/listen-token`, if it is there"
        ),
        .init(
            "listen.allowed_uids",
            \.listen.allowedUIDs,
            .users,
            "Users who may use `listen.unix_socket`, and need no token there; none given admits all."
        ),
        .init(
            "listen.max_connections",
            \.listen.maxConnections,
            .count(1...1_000_000),
            "Clients' connections at a time."
        ),
        .init(
            "listen.max_head",
            \.listen.maxHeadBytes,
            .size(1 << 10...1 << 20),
            "Size of a request's line and header fields."
        ),
        .init(
            "listen.head_timeout",
            \.listen.headTimeout,
            .duration(.milliseconds(100) ... .minutes(10)),
            "Time for a request's head to arrive."
        ),
        .init(
            "listen.idle_timeout",
            \.listen.idleTimeout,
            .duration(.milliseconds(100) ... .hours(1)),
            "Time after which a connection without a request is closed."
        ),
        .init(
            "listen.max_buffered_bytes",
            \.listen.maxBufferedBytes,
            .size(1 << 20...64 << 30),
            "Memory for request bodies that are being received, all together."
        ),
    ]

    private static let upstream: [ConfigurationKey] = [
        .init("upstream.url", \.upstream.url, .origin, "The API; plain `http://` only on loopback."),
        .init(
            "upstream.connect_timeout",
            \.upstream.connectTimeout,
            .duration(.milliseconds(10) ... .minutes(5)),
            "Time for a connection to the upstream to come about."
        ),
        .init(
            "upstream.request_timeout",
            \.upstream.requestTimeout,
            .duration(.milliseconds(10) ... .minutes(10)),
            "Time from sending a request to the end of its reply."
        ),
        .init(
            "upstream.probe_interval",
            \.upstream.probeInterval,
            .duration(.milliseconds(100) ... .minutes(5)),
            "Time between the relay's own connections that find out whether an upstream that was away is there again."
        ),
        .init(
            "upstream.max_connections",
            \.upstream.maxConnections,
            .count(1...10_000),
            "Connections to the upstream at a time."
        ),
        .init(
            "upstream.max_concurrent_writes",
            \.upstream.maxConcurrentWrites,
            .count(1...10_000),
            "Queued writes in flight at a time at most; the relay begins with 8 and finds out how many the upstream takes."
        ),
        .init(
            "upstream.keep_alive",
            \.upstream.keepAlive,
            .duration(.zero ... .minutes(10)),
            "Time for which an unused connection to the upstream is kept; the upstream's own `Keep-Alive` shortens it."
        ),
        .init(
            "upstream.max_connection_age",
            \.upstream.maxConnectionAge,
            .duration(.seconds(1) ... .hours(24)),
            "Age beyond which a connection is not used again, so that changes of DNS are followed."
        ),
        .init(
            "upstream.proxy",
            \.upstream.proxy,
            .optionalProxy,
            "Proxy through which an `https://` upstream is reached (CONNECT).",
            derivedDefault: "`HTTPS_PROXY`, unless `NO_PROXY` names the upstream or it is on loopback"
        ),
        .init(
            "upstream.proxy_credentials_file",
            \.upstream.proxyCredentialsFile,
            .optionalPath,
            "File with `user:password` for the proxy.",
            derivedDefault: "`$CREDENTIALS_DIRECTORY/upstream-proxy`, if it is there"
        ),
        .init(
            "upstream.ca_file",
            \.upstream.caFile,
            .optionalPath,
            "PEM file of authorities to trust instead of the system's."
        ),
        .init(
            "upstream.api_key_file",
            \.upstream.apiKeyFile,
            .optionalPath,
            "File with the API key that the relay sends for all clients, which need none then.",
            derivedDefault: "`$CREDENTIALS_DIRECTORY/dexatel-api-key`, if it is there"
        ),
    ]

    private static let writes: [ConfigurationKey] = [
        .init(
            "writes.reply_wait",
            \.writes.replyWait,
            .duration(.zero ... .minutes(10)),
            "How long a write waits for the upstream's own reply before it gets a 202; `0s` never waits."
        ),
        .init(
            "writes.max_reply_wait",
            \.writes.maxReplyWait,
            .duration(.zero ... .minutes(10)),
            "Longest wait that a request may ask for with `Prefer: wait=N`."
        ),
        .init(
            "writes.max_waiting",
            \.writes.maxWaiting,
            .count(0...1_000_000),
            "Requests that wait for the upstream at a time; further ones get a 202 at once."
        ),
        .init(
            "writes.accepted_status",
            \.writes.acceptedStatus,
            .choice(),
            "Status of a reply to a queued write: `202`, or `upstream` for 200 to PUT and 204 to DELETE."
        ),
        .init(
            "writes.max_pending",
            \.writes.maxPending,
            .count(1...100_000_000),
            "Unfinished writes in the queue; beyond it writes get 503."
        ),
        .init(
            "writes.max_pending_bytes",
            \.writes.maxPendingBytes,
            .size(1 << 10...1 << 40),
            "Size of all unfinished writes' bodies; beyond it writes get 503."
        ),
        .init(
            "writes.max_pending_unverified_per_key",
            \.writes.maxPendingUnverifiedPerKey,
            .count(1...100_000_000),
            "Unfinished writes of one API key that has never succeeded upstream."
        ),
        .init(
            "writes.max_pending_unverified",
            \.writes.maxPendingUnverified,
            .count(1...100_000_000),
            "Unfinished writes of all API keys that have never succeeded upstream."
        ),
        .init(
            "writes.max_unverified_keys",
            \.writes.maxUnverifiedKeys,
            .count(1...1_000_000),
            "API keys that have never succeeded upstream and are remembered for their writes; further ones get 503. Those that "
                + "have been without unfinished writes for longest are forgotten before that."
        ),
        .init(
            "writes.max_dead",
            \.writes.maxDead,
            .count(1...100_000_000),
            "Dead writes of one API key; beyond it that key's writes get 503."
        ),
        .init(
            "writes.max_deaths_per_minute",
            \.writes.maxDeathsPerMinute,
            .count(1...100_000_000),
            "Acknowledged writes that may become dead letters within a minute; beyond it deliveries pause until `outbox resume`."
        ),
        .init(
            "writes.max_receipts",
            \.writes.maxReceipts,
            .count(0...100_000_000),
            "Receipts of ended writes that are kept; beyond it the oldest go."
        ),
        .init(
            "writes.supersede",
            \.writes.supersede,
            .boolean,
            "Whether a write is skipped when a later one of the same key sets all that it sets."
        ),
        .init(
            "writes.put_semantics",
            \.writes.putSemantics,
            .choice(),
            "What the upstream does to fields that an Update leaves out: `merge` keeps them, `replace` clears them.",
            needsRestart: true
        ),
        .init(
            "writes.max_age",
            \.writes.maxAge,
            .duration(.seconds(1) ... .days(365)),
            "Age at which an undelivered write becomes dead; it is never deleted."
        ),
        .init(
            "writes.keep_receipts",
            \.writes.keepReceipts,
            .duration(.zero ... .days(365)),
            "How long a receipt is kept after its write has ended."
        ),
        .init("writes.max_body", \.writes.maxBodyBytes, .size(1 << 10...16 << 20), "Size of one write's body."),
        .init(
            "writes.min_free_disk",
            \.writes.minFreeDiskBytes,
            .size(0...1 << 40),
            "Free disk space below which writes get 503."
        ),
        .init(
            "writes.not_found_grace",
            \.writes.notFoundGrace,
            .duration(.zero ... .days(7)),
            "How long a 404 that does not have the upstream's error shape is retried."
        ),
        .init(
            "writes.foreign_reply_grace",
            \.writes.foreignReplyGrace,
            .duration(.zero ... .days(7)),
            "How long another refusal (4xx) that does not have the upstream's error shape is retried."
        ),
        .init(
            "writes.hold_probe",
            \.writes.holdProbe,
            .duration(.milliseconds(100) ... .days(1)),
            "Time between two attempts with an API key that the upstream refuses."
        ),
        .init(
            "writes.settle",
            \.writes.settle,
            .duration(.zero ... .minutes(10)),
            "Pause before a contact's next write after an attempt with an unknown outcome."
        ),
        .init(
            "writes.on_dead_url",
            \.writes.onDeadURL,
            .optionalWebhook,
            "Where each dead write is told with a POST; \"\" for nowhere. It may hold a secret.",
            isSecret: true,
            needsRestart: true
        ),
        .init(
            "writes.limits.first_name",
            \.writes.limits.firstName,
            .count(1...65_536),
            "Length of `first_name`, in characters."
        ),
        .init(
            "writes.limits.last_name",
            \.writes.limits.lastName,
            .count(1...65_536),
            "Length of `last_name`, in characters."
        ),
        .init(
            "writes.limits.timestamp",
            \.writes.limits.timestamp,
            .count(1...65_536),
            "Length of `timestamp`, in characters."
        ),
        .init("writes.limits.date", \.writes.limits.date, .count(1...65_536), "Length of `date`, in characters."),
        .init(
            "writes.retry.initial",
            \.writes.retry.initial,
            .duration(.milliseconds(10) ... .hours(1)),
            "Upper end of the first pause between attempts."
        ),
        .init(
            "writes.retry.max",
            \.writes.retry.max,
            .duration(.milliseconds(10) ... .days(1)),
            "Upper end of every later pause between attempts."
        ),
        .init(
            "writes.retry.max_retry_after",
            \.writes.retry.maxRetryAfter,
            .duration(.zero ... .days(7)),
            "Longest `Retry-After` of the upstream that is obeyed."
        ),
    ]

    private static let reads: [ConfigurationKey] = [
        .init(
            "reads.default_ttl",
            \.reads.defaultTTL,
            .duration(.zero ... .days(365)),
            "How long a reply without explicit freshness is fresh, at `/v1/audiences` and below."
        ),
        .init(
            "reads.stale_while_revalidate",
            \.reads.staleWhileRevalidate,
            .duration(.zero ... .days(365)),
            "How long a stale reply without explicit freshness is served while it is revalidated; same paths."
        ),
        .init(
            "reads.stale_if_error",
            \.reads.staleIfError,
            .duration(.zero ... .days(365)),
            "How long a stale reply is served on errors; one that states its lifetime only while the upstream does not serve."
        ),
        .init(
            "reads.reply_wait",
            \.reads.replyWait,
            .duration(.zero ... .minutes(10)),
            "How long a read waits for the upstream while a stored reply past its lifetime may be served in its place."
        ),
        .init(
            "reads.negative_ttl",
            \.reads.negativeTTL,
            .duration(.zero ... .days(365)),
            "How long a 404 without explicit freshness is fresh; same paths."
        ),
        .init(
            "reads.memory",
            \.reads.memoryBytes,
            .size(1 << 20...1 << 40),
            "What all stored replies together may take in memory."
        ),
        .init(
            "reads.disk",
            \.reads.diskBytes,
            .size(0...1 << 40),
            "What they may take on disk, also over restarts; 0 keeps nothing there, and less than 1MiB counts as 1MiB.",
            needsRestart: true
        ),
        .init(
            "reads.max_object",
            \.reads.maxObjectBytes,
            .size(1 << 10...1 << 30),
            "Size of the longest body that is stored; longer ones are streamed only."
        ),
        .init(
            "reads.max_waiters",
            \.reads.maxWaiters,
            .count(0...1_000_000),
            "Reads that wait for another one's reply at a time; further ones get 503."
        ),
        .init(
            "reads.obey_cdn_cache_control",
            \.reads.obeysCDNCacheControl,
            .boolean,
            "Whether `CDN-Cache-Control` goes before `Cache-Control` (RFC 9213), as `Contact-Relay-Cache-Control` always does."
        ),
    ]

    private static let daemon: [ConfigurationKey] = [
        .init(
            "shutdown.timeout",
            \.shutdown.timeout,
            .duration(.zero ... .minutes(10)),
            "Time for what is in flight to finish when the daemon stops."
        ),
        .init(
            "state.directory",
            \.state.directory,
            .path,
            "Folder of the outbox and its key.",
            derivedDefault: "`$STATE_DIRECTORY`, or `./var`",
            needsRestart: true
        ),
        .init(
            "admin.socket",
            \.admin.socket,
            .socketPath,
            "Path of the Unix socket for operators' commands.",
            derivedDefault: "`$RUNTIME_DIRECTORY/admin.sock`, or `admin.sock` in the state directory",
            needsRestart: true
        ),
        .init("log.level", \.log.level, .choice(), "Least severe level that is logged."),
        .init(
            "log.format",
            \.log.format,
            .choice(),
            "Form of a log line: `auto` is the journal's under systemd, else text.",
            needsRestart: true
        ),
    ]
}
