import DexatelAPI
import NIOCore
import NIOHTTP1
import Outbox
import ResponseCache
import Synchronization
import Upstream

/// What all connections of the server share; immutable but for counters.
///
/// A reload of the configuration makes another one, which the connections serve their next requests with.
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
        errors: RelayErrors,
        buffers: ByteBudget? = nil
    ) {
        self.configuration = configuration
        self.outbox = outbox
        self.client = client
        self.upstreamHealth = upstreamHealth
        self.health = health
        self.reads = reads
        self.errors = errors
        self.buffers = buffers ?? ByteBudget(limit: configuration.maxBufferedBytes)
        clientGuard = ClientGuard(configuration, outbox.keys)
    }

    /// The same server with other bounds and habits; what is counted goes on being counted.
    func with(_ configuration: ServerConfiguration) -> ServerCore {
        buffers.limit = configuration.maxBufferedBytes
        reads.maxWaiters = configuration.maxReadWaiters
        return ServerCore(
            configuration: configuration,
            outbox: outbox,
            client: client,
            upstreamHealth: upstreamHealth,
            health: health,
            reads: reads,
            errors: errors,
            buffers: buffers
        )
    }

    /// The meaning of a reply, as far as it depends on the configuration.
    func meaning(
        status: Int,
        headers: HTTPHeaders,
        to target: String,
        _ asker: ReplyMeaning.Asker,
        _ key: KnownKey?
    ) -> ReplyMeaning {
        ReplyMeaning(
            status: status,
            headers: headers,
            to: ReplyMeaning.Question(
                asker,
                target: target,
                hasKey: key != nil,
                origin: client.configuration.url.origin,
                maxPauseMilliseconds: configuration.maxRetryAfterMilliseconds
            ),
            nowUnixSeconds: reads.clock.unixSeconds()
        )
    }

    /// Carries out what a reply says of the key that was shown, but for a refusal.
    ///
    /// - Returns: The refusal, which has to be on disk before the reply is shown (``MemoryCache/noteRefusal(_:of:)``).
    func note(_ news: ReplyMeaning.OfKey, of key: KnownKey) -> KeyRefusal? {
        switch news {
        case .nothing: break
        case .taken: outbox.noteTaken(key)
        case .pause(let milliseconds): reads.pause(CachePartition(key.fingerprint), milliseconds: milliseconds)
        case .refused(let refusal): return refusal
        }
        return nil
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
    private let currentLimit: Atomic<Int>
    private let used = Atomic<Int>(0)

    init(limit: Int) { currentLimit = Atomic(limit) }

    /// The bound; what is reserved beyond a new one stays reserved until it is released.
    var limit: Int {
        get { currentLimit.load(ordering: .relaxed) }
        set { currentLimit.store(newValue, ordering: .relaxed) }
    }

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
