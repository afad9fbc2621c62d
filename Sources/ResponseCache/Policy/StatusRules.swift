/// What is known of status codes as far as caching goes.
enum StatusRules {
    /// Cacheable without explicit freshness (RFC 9110 §15.1), but for 206, as parts are not stored.
    static func isHeuristicallyCacheable(_ status: Int) -> Bool {
        switch status {
        case 200, 203, 204, 300, 301, 308, 404, 405, 410, 414, 501: true
        default: false
        }
    }

    /// Understood in the sense of `must-understand` (RFC 9111 §5.2.2.3): these have no caching rules but the general.
    static func isUnderstood(_ status: Int) -> Bool {
        switch status {
        case 302, 303, 307: true
        default: isHeuristicallyCacheable(status)
        }
    }

    /// Never stored, whatever the reply says.
    ///
    /// Interim replies, parts (206) and 304 are no whole replies. 401, 403 and 407 concern the key that was shown, which
    /// may be good a moment later (P4). 408, 425 and 429 say "not now" to one client.
    static func isNeverStored(_ status: Int) -> Bool {
        switch status {
        case ..<200, 206, 304, 401, 403, 407, 408, 425, 429: true
        default: false
        }
    }

    /// Whether a reply counts as an error for `stale-if-error` (RFC 5861 §4, which names four statuses and forbids no
    /// others).
    ///
    /// Such a reply is stored only for the lifetime that it states itself.
    static func isFailure(_ status: Int) -> Bool { status == 500 || isUnserved(status) }

    /// Whether a failure says that the request was not served: the origin has said nothing of what was asked for.
    ///
    /// 502 to 504, and 520 to 530 of some content networks, come from a gateway that is cut off from the origin; 408, 425
    /// and 429 put the client off. A cache behind one of them is as disconnected as behind a broken line (RFC 9111
    /// §4.2.4), whereas a 500 is the origin's own reply.
    static func isUnserved(_ status: Int) -> Bool {
        switch status {
        case 408, 425, 429, 502...504, 520...530: true
        default: false
        }
    }

    /// Whether a reply never takes the place of a stored one without an error: what `stale-if-error` serves must stay.
    static func givesWay(_ status: Int) -> Bool { status >= 500 }

    /// Whether a reply carries no body and says nothing of its length (RFC 9110 §6.4.1, §8.6).
    static func isBodiless(_ status: Int) -> Bool { status == 204 || status == 304 || status < 200 }
}
