import Upstream

/// Where deaths are told (`writes.on_dead_url`): https, or http on loopback, with any path and query.
///
/// Its query may hold a secret, so nothing but the origin is ever shown.
struct WebhookURL: Equatable {
    /// Scheme, host and port.
    let origin: UpstreamURL
    /// Path and query, as they go out.
    let target: String

    /// Reads a URL; nil where `UpstreamURL` would refuse its origin, or the rest cannot go into a request line.
    init?(_ text: String) {
        guard let scheme = text.firstRange(of: "://") else { return nil }
        let authority = text[scheme.upperBound...].prefix { !"/?#".contains($0) }
        guard let origin = try? UpstreamURL(String(text[..<authority.endIndex])) else { return nil }
        let rest = text[authority.endIndex...]
        let target = rest.first == "/" ? String(rest) : "/" + rest
        guard target.utf8.allSatisfy({ (0x21...0x7E).contains($0) && $0 != UInt8(ascii: "#") }) else { return nil }
        self.origin = origin
        self.target = target
    }
}
