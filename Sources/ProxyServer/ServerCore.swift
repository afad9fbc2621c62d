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

    /// Tells the outbox when the upstream has taken a key with a read, or with what is passed through.
    ///
    /// Only what is the upstream's own counts, and asks for a key: a JSON reply under `/v1/`. A page of some proxy must not
    /// vouch for keys that somebody has made up.
    func noteReply(_ stream: UpstreamStream, to target: String, method: HTTPMethod, key: KnownKey?) {
        guard let key, (200..<300).contains(stream.status), method != .OPTIONS, target.hasPrefix("/v1/"),
            let type = stream.headers.first(name: "Content-Type"), WriteRequestFields.isJSON(type)
        else { return }
        outbox.noteTaken(key)
    }

    /// Takes away what a key may not see any more, as the upstream refuses it with 401 or 403.
    ///
    /// A page of a proxy or firewall on the way says nothing of that; the API's errors are JSON. One that does not say what
    /// it is counts, to be safe.
    func noteRefusal(_ stream: UpstreamStream, _ key: @autoclosure () -> CacheKey) async {
        guard stream.status == 401 || stream.status == 403,
            stream.headers.first(name: "Content-Type").map(WriteRequestFields.isJSON) ?? true
        else { return }
        await reads.cache.noteRefusal(status: stream.status, key())
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
