import Logging
import Outbox
import ProxyServer
import ResponseCache
import Upstream

/// What the admin API looks at and changes.
struct AdminParts: Sendable {
    let outbox: Outbox
    /// What a contact write has to be like.
    let writeRules: @Sendable () -> WriteRules
    let client: UpstreamClient
    let upstreamHealth: UpstreamHealth
    let cache: MemoryCache
    let disk: DiskCache?
    let health: DaemonHealth
    let logger: Logger
}
