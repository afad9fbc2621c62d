import DexatelAPI

/// The header fields of a read that decide who serves it, gathered in the pass in which `CacheRequest` gathers those that
/// concern the cache.
struct ReadFields {
    /// Those that say who asks.
    private(set) var client = ClientFields()
    private(set) var hasPreference = false
    private(set) var hasRange = false
    /// A body, of which nobody knows what it means (RFC 9110 §9.3.1).
    private(set) var announcesBody = false

    /// Notes one field.
    mutating func note(_ name: String, _ value: String) {
        client.note(name, value)
        // By length first: most fields are told apart without looking at a letter.
        switch name.utf8.count {
        case 5 where name.isASCII("range"): hasRange = true
        case 6 where name.isASCII("prefer"): hasPreference = true
        case 14 where name.isASCII("content-length"): announcesBody = announcesBody || value != "0"
        case 17 where name.isASCII("transfer-encoding"): announcesBody = true
        default: break
        }
    }
}
