private import Glibc

/// What a host's name says about where it is, without asking anyone.
package enum NetworkHost {
    /// Whether the text is an IPv4 or IPv6 address.
    package static func isAddress(_ text: String) -> Bool { !text.hasPrefix("[") && octets(text) != nil }

    /// The four or sixteen octets of an address that is written in the usual form, an IPv6 address with or without
    /// brackets; nil for anything else.
    package static func octets(_ text: String) -> [UInt8]? {
        if let octets = octets(text, AF_INET, count: 4) { return octets }
        let bare = text.hasPrefix("[") && text.hasSuffix("]") ? String(text.dropFirst().dropLast()) : text
        return octets(bare, AF_INET6, count: 16)
    }

    /// Whether the host can only be this one.
    ///
    /// These are 127.0.0.0/8 (RFC 1122 §3.2.1.3), `::1` (RFC 4291 §2.5.3), either mapped
    /// into the other, or `localhost`. IPv6 addresses may be in brackets, as in URLs.
    package static func isLoopback(_ text: String) -> Bool {
        if text.lowercased() == "localhost" { return true }
        guard let octets = octets(text) else { return false }
        if octets.count == 4 { return octets[0] == 127 }
        let isMapped = octets[..<10].allSatisfy { $0 == 0 } && octets[10] == 0xFF && octets[11] == 0xFF
        return isMapped ? octets[12] == 127 : octets[..<15].allSatisfy { $0 == 0 } && octets[15] == 1
    }

    /// Whether the address stands for all addresses of this host: `0.0.0.0` or `::`.
    package static func isUnspecified(_ text: String) -> Bool { octets(text)?.allSatisfy { $0 == 0 } ?? false }

    private static func octets(_ text: String, _ family: Int32, count: Int) -> [UInt8]? {
        var octets = [UInt8](repeating: 0, count: count)
        return inet_pton(family, text, &octets) == 1 ? octets : nil
    }
}
