import Logging
import Outbox
import ResponseCache
import Upstream

/// What the admin API looks at and changes.
struct AdminParts: Sendable {
    let outbox: Outbox
    let client: UpstreamClient
    let upstreamHealth: UpstreamHealth
    let cache: MemoryCache
    let disk: DiskCache?
    let health: DaemonHealth
    let logger: Logger
}
