import NIOHTTP1

/// The header fields of a read that decide who serves it, gathered in one pass; those that concern the cache are
/// gathered by `CacheRequest`.
struct ReadFields {
    /// The first `X-Dexatel-Key`, as everywhere in the relay; nil when it is missing or empty.
    private(set) var apiKey: String?
    private(set) var hasPreference = false
    private(set) var hasRange = false
    /// A body, of which nobody knows what it means (RFC 9110 §9.3.1).
    private(set) var announcesBody = false

    init(_ headers: HTTPHeaders) {
        var firstKey: String?
        for (name, value) in headers {
            // By length first: most fields are told apart without looking at a letter.
            switch name.utf8.count {
            case 5 where name.isField("range"): hasRange = true
            case 6 where name.isField("prefer"): hasPreference = true
            case 13 where name.isField("x-dexatel-key"): firstKey = firstKey ?? value
            case 14 where name.isField("content-length"): announcesBody = announcesBody || value != "0"
            case 17 where name.isField("transfer-encoding"): announcesBody = true
            default: break
            }
        }
        if let firstKey, !firstKey.isEmpty { apiKey = firstKey }
    }
}
