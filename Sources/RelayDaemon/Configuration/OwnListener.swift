import ProxyServer
import Upstream

/// Whether the upstream is the relay itself.
extension RelayConfiguration {
    /// What is wrong with an `upstream.url` that is the address at which the relay listens; nil if it is another one.
    ///
    /// Loops by other ways, such as a proxy before the relay, are found when a request comes back.
    package var ownListener: ConfigurationError.Problem? {
        guard let url = try? UpstreamURL(upstream.url), let address = listen.address, url.port == listen.port,
            Self.reaches(url.host, address)
        else { return nil }
        return ConfigurationError.Problem(
            origin: .defaults,
            key: "upstream.url",
            message: "\(upstream.url) is where the relay itself listens (listen.address, listen.port)"
        )
    }

    /// Whether a connection to a host may end at a listening address.
    private static func reaches(_ host: String, _ address: String) -> Bool {
        if host == address.lowercased() { return true }
        if NetworkHost.isUnspecified(address) { return NetworkHost.isLoopback(host) || NetworkHost.isUnspecified(host) }
        // `localhost` is 127.0.0.1 or ::1, whichever comes first.
        if host == "localhost" || address == "localhost" {
            return NetworkHost.isLoopback(host) && NetworkHost.isLoopback(address)
        }
        guard let octets = NetworkHost.octets(host) else { return false }
        return octets == NetworkHost.octets(address)
    }
}
