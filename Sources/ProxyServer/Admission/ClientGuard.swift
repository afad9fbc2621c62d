import DexatelAPI
import HTTPWire
import Outbox

/// Admits requests, or says why not; one for all connections, until the settings change.
final class ClientGuard: Sendable {
    let rules: ClientRules
    /// The key that the relay sends for everybody.
    private let injectedKey: KnownKey?

    init(_ configuration: ServerConfiguration, _ keys: KeyRegistry) {
        rules = ClientRules(configuration.clients, address: configuration.address)
        injectedKey = configuration.clients.injectedKey.map(keys.key)
    }

    /// Checks a request that has come over a connection.
    ///
    /// - Parameters:
    ///   - needsCredentials: False where everybody may ask who comes by an allowed way: health.
    ///   - key: Finds the client's own key; called only where credentials count.
    func admit(
        _ fields: ClientFields,
        isHTTP10: Bool,
        from peer: ConnectionPeer,
        memo: inout HostMemo,
        needsCredentials: Bool = true,
        key: () -> KnownKey?
    ) throws(ClientRefusal) -> Caller {
        if !memo.holds(fields, self) {
            if let refusal = rules.refusalOfHost(fields, isHTTP10: isHTTP10, from: peer) { throw refusal }
            memo = HostMemo(host: fields.host.map { Latin1.bytes($0) }, guardian: self)
        }
        if fields.isOwn { throw .forwardingLoop }
        if let refusal = rules.refusalOfOrigin(fields) { throw refusal }
        if needsCredentials, let refusal = rules.refusalOfCredentials(fields, from: peer) { throw refusal }
        // Where no credentials are asked for, none is looked at.
        let own = needsCredentials ? key() : nil
        return Caller(key: injectedKey ?? own, takesAuthorization: rules.takesAuthorization)
    }
}

/// The `Host` that a connection's last request had and that was allowed: a client has seldom more than one, and looking at
/// it again costs a comparison.
struct HostMemo {
    private var host: [UInt8]?
    private var guardian: ClientGuard?

    init(host: [UInt8]? = nil, guardian: ClientGuard? = nil) {
        self.host = host
        self.guardian = guardian
    }

    /// Whether that is the request's, too, and nothing has changed since.
    func holds(_ fields: ClientFields, _ guardian: ClientGuard) -> Bool {
        guard self.guardian === guardian, let host, !fields.hasSeveralHosts else { return false }
        return fields.hasHost(host)
    }
}

/// Somebody whose request is served; made by ``ClientGuard`` alone, so that nothing is served past it.
struct Caller: Sendable {
    /// The API key that counts for the request: the client's, or the relay's own.
    let key: KnownKey?
    /// Whether `Authorization` was for the relay, and goes no further.
    let takesAuthorization: Bool

    fileprivate init(key: KnownKey?, takesAuthorization: Bool) {
        self.key = key
        self.takesAuthorization = takesAuthorization
    }
}
