/// How many descriptors each part may have of those that the system allows the process.
struct DescriptorBudget: Equatable {
    /// Kept for everything but connections: files of the stores, listeners, name look-ups, operators' commands, and
    /// clients beyond the bound that are told so.
    private static let fixedReserve = 56
    /// What an event loop keeps open, with something to spare.
    private static let reservePerLoop = 4
    /// Fewer clients than these are not served for long: it is better not to start.
    static let minConnections = 8
    private static let minUpstreamConnections = 4

    /// `listen.max_connections`, or less.
    let connections: Int
    /// `upstream.max_connections`, or less.
    let upstreamConnections: Int

    /// The least limit that is enough to start.
    static func minLimit(eventLoops: Int) -> Int {
        fixedReserve + reservePerLoop * eventLoops + minConnections + minUpstreamConnections
    }

    /// Divides a limit; nil if it leaves nothing sensible.
    init?(limit: Int, eventLoops: Int, maxConnections: Int, maxUpstreamConnections: Int) {
        guard limit >= Self.minLimit(eventLoops: eventLoops) else { return nil }
        let free = limit - Self.fixedReserve - Self.reservePerLoop * eventLoops
        // Connections of clients are worth nothing without those to the upstream, which are fewer.
        upstreamConnections = min(maxUpstreamConnections, max(Self.minUpstreamConnections, free / 4))
        connections = min(maxConnections, free - upstreamConnections)
    }
}
