extension RelayConfiguration {
    /// Settings of the cache: for how long replies are good, and how much of them is kept.
    package struct Reads: Sendable, Equatable {
        /// The freshness of replies without explicit freshness, at `/v1/audiences` and below.
        package var defaultTTL: Duration = .seconds(60)
        /// For how long a stale reply is served while it is revalidated behind the scenes; same paths.
        package var staleWhileRevalidate: Duration = .seconds(30)
        /// For how long a stale reply is served while the upstream fails; same paths.
        package var staleIfError: Duration = .seconds(7 * 86_400)
        /// How long a read waits for the upstream before it is answered with something stale.
        package var replyWait: Duration = .seconds(2)
        /// The freshness of a 404 without explicit freshness; same paths.
        package var negativeTTL: Duration = .seconds(10)
        /// What all stored replies together may take in memory.
        package var memoryBytes = 64 << 20
        /// What they may take on disk, beyond what memory holds and over restarts; zero: nothing is kept there.
        package var diskBytes = 512 << 20
        /// The longest body that is stored.
        package var maxObjectBytes = 1 << 20
        /// The number of reads that wait for another one's reply at a time.
        package var maxWaiters = 1024
        /// Whether `CDN-Cache-Control` is obeyed where there is no `Contact-Relay-Cache-Control` (RFC 9213).
        package var obeysCDNCacheControl = false
    }
}
