package import DexatelAPI

/// Who may ask, and with whose API key (design §2.3).
package struct ClientGuardSettings: Sendable, Equatable {
    /// `listen.allowed_hosts`: names and addresses of the relay beside loopback and `listen.address`.
    package var allowedHosts: [String] = []
    /// `listen.allow_remote`: requests may come by a proxy from other hosts, too.
    package var allowsRemote = false
    /// What `listen.token_file` holds: clients have to show it.
    package var token: Secret?
    /// `listen.allowed_uids`: users who may use the Unix socket, and need no token there; nil for all.
    package var allowedUIDs: Set<UInt32>?
    /// What `upstream.api_key_file` holds: the relay sends this key, and takes none from clients.
    package var injectedKey: Secret?

    /// Everybody on this host, with a key of their own.
    package init() {}
}
