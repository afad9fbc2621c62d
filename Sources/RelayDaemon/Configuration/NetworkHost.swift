private import Glibc

/// What a host's name says about where it is, without asking anyone.
enum NetworkHost {
    /// Whether the text is an IPv4 or IPv6 address.
    static func isAddress(_ text: String) -> Bool {
        octets(text, AF_INET, count: 4) != nil || octets(text, AF_INET6, count: 16) != nil
    }

    /// Whether the host can only be this one.
    ///
    /// These are 127.0.0.0/8 (RFC 1122 §3.2.1.3), `::1` (RFC 4291 §2.5.3), either mapped
    /// into the other, or `localhost`. IPv6 addresses may be in brackets, as in URLs.
    static func isLoopback(_ text: String) -> Bool {
        if text.lowercased() == "localhost" { return true }
        if let octets = octets(text, AF_INET, count: 4) { return octets[0] == 127 }
        let bare = text.hasPrefix("[") && text.hasSuffix("]") ? String(text.dropFirst().dropLast()) : text
        guard let octets = octets(bare, AF_INET6, count: 16) else { return false }
        let isMapped = octets[..<10].allSatisfy { $0 == 0 } && octets[10] == 0xFF && octets[11] == 0xFF
        return isMapped ? octets[12] == 127 : octets[..<15].allSatisfy { $0 == 0 } && octets[15] == 1
    }

    private static func octets(_ text: String, _ family: Int32, count: Int) -> [UInt8]? {
        var octets = [UInt8](repeating: 0, count: count)
        return inet_pton(family, text, &octets) == 1 ? octets : nil
    }
}
