/// By which names the relay may be addressed.
///
/// A page of some other site can have its own name lead to 127.0.0.1 (DNS rebinding), and its browser then takes the relay for
/// that site. It cannot forge the name, though: what is addressed by a name that nobody gave the relay is not for it
/// (RFC 9110 §7.4).
struct HostRule: Sendable {
    private let names: Set<String>
    private let addresses: Set<[UInt8]>
    /// Whether every address will do: the relay listens at all of them, and an address cannot be led elsewhere.
    private let admitsAllAddresses: Bool

    /// - Parameters:
    ///   - address: `listen.address`.
    ///   - allowed: `listen.allowed_hosts`.
    init(address: String?, allowed: [String]) {
        let hosts = allowed + [address].compactMap(\.self)
        names = Set(hosts.compactMap { Authority(host: $0)?.host })
        addresses = Set(hosts.compactMap(NetworkHost.octets))
        admitsAllAddresses = address.map(NetworkHost.isUnspecified) ?? false
    }

    /// Whether the relay goes by this name or address.
    func admits(_ authority: Authority) -> Bool {
        let host = authority.host
        if names.contains(host) || NetworkHost.isLoopback(host) { return true }
        // Such names never leave the host (RFC 6761 §6.3); browsers do not ask for them.
        if host.hasSuffix(".localhost") { return true }
        guard let octets = NetworkHost.octets(host) else { return false }
        return admitsAllAddresses || addresses.contains(octets)
    }

    /// Whether a page of this origin (RFC 6454 §6.2) may use the relay: its host is one of the relay's.
    func admits(origin: String) -> Bool {
        for scheme in ["http://", "https://"] where origin.hasPrefix(scheme) {
            return Authority(origin.dropFirst(scheme.utf8.count)).map(admits) ?? false
        }
        // `null`, browser extensions, and whatever else may come.
        return false
    }
}
