import DexatelAPI
import Foundation
import Outbox
import ProxyServer
import ResponseCache
import Upstream

/// Turns the operator's configuration into those of the parts.
extension RelayConfiguration {
    func outboxConfiguration(credentialsDirectory: String?) -> OutboxConfiguration {
        var outbox = OutboxConfiguration(stateDirectory: state.directory)
        outbox.credentialsDirectory = credentialsDirectory
        outbox.maxPending = writes.maxPending
        outbox.maxPendingBytes = writes.maxPendingBytes
        outbox.maxPendingUnverifiedPerKey = writes.maxPendingUnverifiedPerKey
        outbox.maxPendingUnverified = writes.maxPendingUnverified
        outbox.maxUnverifiedKeys = writes.maxUnverifiedKeys
        outbox.maxDead = writes.maxDead
        outbox.maxDeathsPerMinute = writes.maxDeathsPerMinute
        outbox.maxReceipts = writes.maxReceipts
        outbox.supersedes = writes.supersede
        outbox.putSemantics = writes.putSemantics
        outbox.maxWaiting = writes.maxWaiting
        outbox.maxConcurrentWrites = upstream.maxConcurrentWrites
        outbox.minFreeDiskBytes = writes.minFreeDiskBytes
        outbox.maxAgeMilliseconds = writes.maxAge.wholeMilliseconds
        outbox.keepReceiptsMilliseconds = writes.keepReceipts.wholeMilliseconds
        outbox.notFoundGraceMilliseconds = writes.notFoundGrace.wholeMilliseconds
        outbox.foreignReplyGraceMilliseconds = writes.foreignReplyGrace.wholeMilliseconds
        outbox.holdProbeMilliseconds = writes.holdProbe.wholeMilliseconds
        outbox.settleMilliseconds = writes.settle.wholeMilliseconds
        outbox.maxRetryAfterMilliseconds = writes.retry.maxRetryAfter.wholeMilliseconds
        return outbox
    }

    var serverConfiguration: ServerConfiguration {
        var server = ServerConfiguration()
        server.address = listen.address
        server.port = listen.port
        server.unixSocket = listen.unixSocket
        server.clients.allowedHosts = listen.allowedHosts
        server.clients.allowsRemote = listen.allowRemote
        server.clients.token = listen.token
        server.clients.allowedUIDs = listen.allowedUIDs.isEmpty ? nil : Set(listen.allowedUIDs.map(\.uid))
        server.clients.injectedKey = upstream.apiKey
        server.maxConnections = listen.maxConnections
        server.maxHeadBytes = listen.maxHeadBytes
        server.headTimeoutSeconds = listen.headTimeout.wholeSecondsRoundedUp
        server.idleTimeoutSeconds = listen.idleTimeout.wholeSecondsRoundedUp
        server.maxBufferedBytes = listen.maxBufferedBytes
        server.maxWriteBodyBytes = writes.maxBodyBytes
        server.fieldLimits.firstName = writes.limits.firstName
        server.fieldLimits.lastName = writes.limits.lastName
        server.fieldLimits.timestamp = writes.limits.timestamp
        server.fieldLimits.date = writes.limits.date
        server.replyWaitMilliseconds = writes.replyWait.wholeMilliseconds
        server.maxReplyWaitMilliseconds = writes.maxReplyWait.wholeMilliseconds
        server.readReplyWaitMilliseconds = reads.replyWait.wholeMilliseconds
        server.maxRetryAfterMilliseconds = writes.retry.maxRetryAfter.wholeMilliseconds
        server.maxReadWaiters = reads.maxWaiters
        server.acceptsWithUpstreamStatus = writes.acceptedStatus == .upstream
        return server
    }

    var cacheConfiguration: CacheConfiguration {
        var cache = CacheConfiguration()
        cache.defaultTTLSeconds = Int64(reads.defaultTTL.wholeSecondsRoundedUp)
        cache.staleWhileRevalidateSeconds = Int64(reads.staleWhileRevalidate.wholeSecondsRoundedUp)
        cache.staleIfErrorSeconds = Int64(reads.staleIfError.wholeSecondsRoundedUp)
        cache.negativeTTLSeconds = Int64(reads.negativeTTL.wholeSecondsRoundedUp)
        cache.memoryBytes = reads.memoryBytes
        cache.diskBytes = reads.diskBytes
        cache.maxObjectBytes = reads.maxObjectBytes
        if reads.obeysCDNCacheControl { cache.targetedFields.append("CDN-Cache-Control") }
        return cache
    }

    /// The upstream's address and settings, with the contents of `upstream.ca_file` as they are now.
    func upstreamConfiguration() throws -> UpstreamConfiguration {
        var client = UpstreamConfiguration(url: try UpstreamURL(upstream.url))
        client.connectTimeout = upstream.connectTimeout
        client.requestTimeout = upstream.requestTimeout
        client.maxConnections = upstream.maxConnections
        client.maxConcurrentWrites = upstream.maxConcurrentWrites
        client.keepAlive = upstream.keepAlive
        client.maxConnectionAge = upstream.maxConnectionAge
        client.proxy = proxyConfiguration
        client.authorities = try upstream.caFile.map { path in
            do {
                return Array(try Data(contentsOf: URL(fileURLWithPath: path)))
            } catch {
                throw UnreadableAuthorities(path: path)
            }
        }
        return client
    }

    /// The full-jitter delay in milliseconds for an attempt count.
    var backoffMilliseconds: @Sendable (Int64) -> Int64 {
        let backoff = Backoff(initial: writes.retry.initial, max: writes.retry.max)
        return { attempt in
            var generator = SystemRandomNumberGenerator()
            return backoff.delay(attempt: Int(clamping: attempt), using: &generator).wholeMilliseconds
        }
    }
}

/// An `upstream.ca_file` that cannot be read, though it could when the configuration was checked.
struct UnreadableAuthorities: Error, CustomStringConvertible {
    let path: String

    var description: String { "upstream.ca_file: \(path) cannot be read" }
}
