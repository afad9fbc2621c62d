import DexatelAPI
import Outbox

/// The API keys that clients of one event loop showed lately, so that a key is hashed once and not with each request.
///
/// Bound to its loop. Whoever holds a `KnownKey` keeps the registry from forgetting it, so there is one of each.
struct KeyMemo {
    /// Keys that are remembered at most; then all are forgotten, which costs no more than hashing them again.
    static let maxKeys = 256

    private var keys: [String: KnownKey] = [:]

    /// The key of this `X-Dexatel-Key` value.
    mutating func key(_ text: String, in registry: KeyRegistry) -> KnownKey {
        if let key = keys[text] { return key }
        if keys.count >= Self.maxKeys { keys.removeAll(keepingCapacity: true) }
        let key = registry.key(for: Secret(text))
        keys[text] = key
        return key
    }
}
