import DexatelAPI
import Outbox

/// The API keys that clients of one event loop showed lately, so that a key is hashed once and not with each request.
///
/// Bound to its loop. Whoever holds a `KnownKey` keeps the registry from forgetting it, so there is one of each.
struct KeyMemo {
    /// Keys that are remembered at most; then all are forgotten, which costs no more than hashing them again.
    static let maxKeys = 256

    private var keys: [Secret: KnownKey] = [:]

    /// The key of these bytes of an `X-Dexatel-Key`.
    mutating func key(_ bytes: UnsafeRawBufferPointer, in registry: KeyRegistry) -> KnownKey {
        let secret = Secret(bytes)
        if let key = keys[secret] { return key }
        if keys.count >= Self.maxKeys { keys.removeAll(keepingCapacity: true) }
        let key = registry.key(for: secret)
        keys[secret] = key
        return key
    }
}

/// The API key that a connection's last request had: a client has seldom more than one.
struct LastKey {
    private var last: (secret: Secret, key: KnownKey)?

    /// The key of a request, from the memo of the loop unless it is the last one again; nil when there is none.
    mutating func key(_ fields: ClientFields, _ memo: inout KeyMemo, in registry: KeyRegistry) -> KnownKey? {
        if let last, fields.hasAPIKey(last.secret) { return last.key }
        return fields.withAPIKey { bytes in
            let key = memo.key(bytes, in: registry)
            last = (Secret(bytes), key)
            return key
        }
    }
}
