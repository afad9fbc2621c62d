import NIOCore
import ProxyServer

extension RelayConfiguration {
    /// The addresses that the daemon would bind for a name in `listen.address`; nil where that is an address, or nothing.
    package func namedListenAddresses() async -> [String]? {
        guard let host = listen.address, !NetworkHost.isAddress(host) else { return nil }
        let resolved = try? await ListenAddresses.resolve(host, port: listen.port)
        return (resolved ?? []).compactMap(\.ipAddress)
    }
}
