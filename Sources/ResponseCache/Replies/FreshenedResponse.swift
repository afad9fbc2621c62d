import NIOHTTP1

/// A stored reply that the upstream has confirmed.
package struct FreshenedResponse: Sendable {
    /// The reply to answer with: the stored body, the stored fields with the 304's over them.
    package let response: StoredResponse
    /// Why it must not stay stored, if the 304 says so.
    package let refusal: StoreRefusal?
    /// Whether it was confirmed for one client alone: what is stored for others is left as it is.
    package let isForOneClient: Bool

    /// Updates a stored reply by a 304, or by the head of a 200 to HEAD (RFC 9111 §3.2, §4.3.4, §4.3.5).
    ///
    /// - Returns: Nil if the 304 speaks of some other reply: the request is to be repeated without conditions.
    package init?(
        _ stored: StoredResponse,
        by confirmation: ReplyHead,
        to request: CacheRequest,
        key: CacheKey,
        _ configuration: CacheConfiguration
    ) {
        guard Freshening.selects(stored, by: confirmation.headers) else { return nil }
        let merged = Freshening.merged(stored.fields, with: confirmation.headers)
        // Its age is that of the confirmation; what may be stored is judged by all fields together.
        var judged = merged
        if let age = confirmation.headers.first(name: "Age") { judged.add(name: "Age", value: age) }
        let head = ReplyHead(status: stored.status, headers: judged, times: confirmation.times)
        var terms = Storability.Terms(
            freshness: stored.freshness,
            vary: stored.vary
        )
        var refusal: StoreRefusal?
        do {
            terms = try Storability.judge(head, to: request.asGet, key: key, configuration)
        } catch {
            refusal = error
            terms.freshness = Freshness.afterRefusal(head.times.bornMilliseconds(judged))
        }
        self.refusal = refusal
        isForOneClient =
            switch refusal {
            // This one request says nothing of what others had stored.
            case .requestNoStore, .authorization, .credentials: true
            case nil: key.partition == .shared && request.carriesCredentials && !terms.isExplicit
            default: false
            }
        response = StoredResponse(
            status: stored.status,
            fields: StoredFields.endToEnd(merged),
            body: stored.body,
            terms: terms,
            dateIfNone: confirmation.times.responseUnixSeconds,
            requestedMilliseconds: confirmation.times.requestMilliseconds
        )
    }
}

extension Freshness {
    /// For a reply that is answered with once and not kept.
    static func afterRefusal(_ bornMilliseconds: Int64) -> Freshness {
        Freshness(
            bornMilliseconds: bornMilliseconds,
            lifetimeSeconds: 0,
            staleWhileRevalidateSeconds: 0,
            staleIfErrorSeconds: 0,
            staleIfDisconnectedSeconds: 0,
            mustAlwaysValidate: true,
            forbidsStale: true
        )
    }
}
