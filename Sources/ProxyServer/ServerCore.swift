import DexatelAPI
import NIOCore
import Outbox
import Synchronization
import Upstream

/// What all connections of the server share; immutable but for counters.
final class ServerCore: Sendable {
    let configuration: ServerConfiguration
    let outbox: Outbox
    let client: UpstreamClient
    let upstreamHealth: UpstreamHealth
    let health: any HealthSource
    let reads: ReadParts
    let errors: RelayErrors
    let buffers: ByteBudget
    let clientGuard: ClientGuard

    init(
        configuration: ServerConfiguration,
        outbox: Outbox,
        client: UpstreamClient,
        upstreamHealth: UpstreamHealth,
        health: any HealthSource,
        reads: ReadParts,
        errors: RelayErrors
    ) {
        self.configuration = configuration
        self.outbox = outbox
        self.client = client
        self.upstreamHealth = upstreamHealth
        self.health = health
        self.reads = reads
        self.errors = errors
        buffers = ByteBudget(limit: configuration.maxBufferedBytes)
        clientGuard = ClientGuard(configuration, outbox.keys)
    }

    /// What replies about a contact say of the key's writes to it that have died (design §3.5); nil where there are none.
    func deadField(_ contact: ContactReference, _ key: KnownKey) -> (name: String, value: String)? {
        let count = outbox.deadCount(contact, of: key)
        return count > 0 ? ("Contact-Relay-Dead", String(count)) : nil
    }

    var router: Router { Router(server: self) }
}

/// Counts bytes that are held in memory against a bound (P8).
final class ByteBudget: Sendable {
    private let limit: Int
    private let used = Atomic<Int>(0)

    init(limit: Int) { self.limit = limit }

    /// Takes bytes from the budget; false, and nothing taken, when they would exceed it.
    func reserve(_ bytes: Int) -> Bool {
        let (_, new) = used.add(bytes, ordering: .relaxed)
        guard new > limit else { return true }
        used.subtract(bytes, ordering: .relaxed)
        return false
    }

    func release(_ bytes: Int) {
        guard bytes > 0 else { return }
        used.subtract(bytes, ordering: .relaxed)
    }
}
