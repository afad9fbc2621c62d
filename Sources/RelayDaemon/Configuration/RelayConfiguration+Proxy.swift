import DexatelAPI
import FoundationEssentials
import HTTPClient
import ProxyServer

/// The proxy on the way to the upstream.
extension RelayConfiguration {
    /// Takes the proxy of the environment where none is configured: `HTTPS_PROXY`, unless `NO_PROXY` names the upstream.
    ///
    /// Nothing on loopback is reached through a proxy.
    mutating func deriveProxy(_ environment: [String: String], isGiven: Bool) {
        guard !isGiven, let url = URLComponents(string: upstream.url), url.scheme == "https", let host = url.host,
            !NetworkHost.isLoopback(host),
            !Self.isExempt(host, environment["NO_PROXY"] ?? environment["no_proxy"] ?? ""),
            let text = environment["HTTPS_PROXY"] ?? environment["https_proxy"], !text.isEmpty,
            var proxy = URLComponents(string: text.contains("://") ? text : "http://\(text)")
        else { return }
        let user = proxy.user.map { [$0, proxy.password ?? ""].joined(separator: ":") }
        (proxy.user, proxy.password, proxy.path) = (nil, nil, "")
        guard let text = proxy.string.flatMap(ValueSyntax<String?>.optionalProxy.parse) else { return }
        upstream.proxy = text
        if upstream.proxyCredentialsFile == nil { upstream.proxyCredentials = user.map { Secret($0) } }
    }

    /// Whether a list of names and domains, with commas between, has the host; `*` has all.
    static func isExempt(_ host: String, _ list: String) -> Bool {
        let host = host.lowercased()
        return list.split(separator: ",").contains { entry in
            var name = Substring(entry.lowercased().filter { $0 != " " })
            if name == "*" { return true }
            if name.hasPrefix(".") { name = name.dropFirst() }
            return !name.isEmpty && (host == name || host.hasSuffix(".\(name)"))
        }
    }

    /// The proxy in the terms of the HTTP client.
    var proxyConfiguration: OriginConfiguration.Proxy? {
        guard let proxy = upstream.proxy.flatMap({ URLComponents(string: $0) }), let host = proxy.host else {
            return nil
        }
        let authorization = upstream.proxyCredentials.map {
            "Basic " + Data($0.exposedText.utf8).base64EncodedString()
        }
        return OriginConfiguration.Proxy(
            host: host.filter { $0 != "[" && $0 != "]" },
            port: proxy.port ?? 80,
            authorization: authorization
        )
    }
}
