/// Why a reply is not stored; the raw value is the `detail` of `Cache-Status`.
package enum StoreRefusal: String, Error, Sendable {
    /// Only replies to GET are stored.
    case method
    /// The status is never stored, or not understood where `must-understand` asks for it.
    case status
    /// The request said `no-store` (RFC 9111 §5.2.1.5).
    case requestNoStore = "request-no-store"
    /// The reply said `no-store` (RFC 9111 §5.2.2.5).
    case noStore = "no-store"
    /// The reply is `private` and the request had no key (RFC 9111 §5.2.2.7).
    case isPrivate = "private"
    /// The request carried `Authorization` and the reply does not allow sharing (RFC 9111 §3.5).
    case authorization
    /// The request carried credentials, no key, and the reply states no lifetime: the relay assumes none for others.
    case credentials
    /// An error, and a reply without one is stored, which may be served while the upstream fails.
    case goodStored = "good-stored"
    /// The reply sets a cookie and was asked for without a key (RFC 9111 §7.3).
    case setCookie = "set-cookie"
    /// `Vary: *`, or a `Vary` that names credentials which the request carried (RFC 9111 §4.1).
    case vary
    /// Nothing allows it to be used even once more.
    case noFreshness = "no-freshness"
    /// Longer than `reads.max_object`, or than the cache.
    case tooLarge = "too-large"
    /// The body has another length than was announced (RFC 9111 §3.3).
    case incomplete
    /// The upstream was asked before something that makes the reply worthless: a purge, a refused key, or a question
    /// that was asked later and has been answered sooner.
    case superseded
    /// It is no answer of the API, but of somebody on the way to it.
    case unexpected = "unexpected-reply"
    /// The head cannot be written out again as it came.
    case malformed

    /// Whether the next reply to a like request will most likely not be stored either.
    ///
    /// The others are one request's own doing, or of the moment.
    package var isLasting: Bool {
        switch self {
        case .status, .noStore, .isPrivate, .authorization, .credentials, .setCookie, .vary, .noFreshness, .tooLarge,
            .malformed:
            true
        case .method, .requestNoStore, .goodStored, .incomplete, .superseded, .unexpected: false
        }
    }
}
