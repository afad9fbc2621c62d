import DexatelAPI
import HTTPWire
import NIOHTTP1
import Outbox
import ResponseCache
import Upstream

/// A GET or HEAD that the cache may answer.
struct ReadRequest: Sendable {
    /// What it reads, as far as pending writes show in it.
    enum Subject: Sendable, Equatable {
        case contact(ContactReference)
        /// A page of an audience's contacts.
        case contactList(audience: UInt128)
        case other
    }

    let subject: Subject
    /// Who asks.
    let caller: Caller
    let cacheKey: CacheKey
    private(set) var cacheRequest: CacheRequest

    /// - Parameter cacheRequest: What of the request concerns the cache; its target is in origin form.
    init(_ subject: Subject, _ caller: Caller, _ cacheRequest: CacheRequest) {
        self.subject = subject
        self.caller = caller
        self.cacheRequest = cacheRequest
        let partition = caller.key.map { CachePartition($0.fingerprint) } ?? .shared
        cacheKey = CacheKey(partition: partition, target: cacheRequest.head.target)
    }

    /// The same request in memory of its own, for what outlives the read that brought it.
    var detached: ReadRequest {
        var read = self
        read.cacheRequest = cacheRequest.detached
        return read
    }

    /// The request, its target in origin form.
    var head: RequestHead { cacheRequest.head }

    /// The key that it is made with.
    var key: KnownKey? { caller.key }

    var summary: RequestSummary { RequestSummary(head) }

    /// Whether it reads one contact.
    var isOfContact: Bool { if case .contact = subject { true } else { false } }

    /// Whether pending writes may be laid over the reply.
    var mayBeOverlaid: Bool { subject != .other && key != nil }

    /// Where blame goes for what the upstream makes of it (design §4).
    var origin: OriginKey { OriginKey("GET \(summary.path)") }

    /// What a reply about a contact says of dead writes to it; nil where there are none.
    func deadField(_ server: ServerCore) -> (name: String, value: String)? {
        guard case .contact(let contact) = subject, let key else { return nil }
        return server.deadField(contact, key)
    }

    /// What an answer needs beyond what is stored, with the number of the contact's dead writes where there are any.
    func additions(_ additions: WireAdditions?, _ server: ServerCore) -> WireAdditions? {
        guard let dead = deadField(server) else { return additions }
        var additions = additions ?? WireAdditions()
        additions.fields.append(dead)
        return additions
    }

    /// The request for the upstream: for the whole reply, whatever part of it the client wants.
    ///
    /// Its fields are those by which replies are chosen (``CacheRequest/forwardedLines(_:)``).
    func forwarded(_ validation: CacheValidation?) -> UpstreamRequest {
        var headers = HTTPHeaders(cacheRequest.forwardedFields)
        HeaderHygiene.addRequestVia(&headers, version: head.isHTTP10 ? .http1_0 : .http1_1)
        validation?.addConditions(to: &headers)
        return UpstreamRequest(method: "GET", target: head.target, headers: headers, apiKey: caller.key?.secret)
    }
}
