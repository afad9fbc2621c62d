/// Where the upstream is: `https://host[:port][/base/path]`, checked.
package struct UpstreamURL: Sendable, Hashable {
    /// Why a URL cannot be the upstream's.
    package struct Fault: Error, Hashable, CustomStringConvertible {
        /// What is wrong, fit to follow the key's name in a configuration error.
        package let description: String
    }

    /// Whether connections use TLS.
    package let isSecure: Bool
    /// The host's name or address, without brackets.
    package let host: String
    /// The port, the scheme's own where the URL has none.
    package let port: Int
    /// What precedes every target: empty, or a path that starts with a slash and does not end with one.
    package let basePath: String

    /// Reads a URL.
    ///
    /// Refused: schemes but http and https, http to anything but loopback (it would show the API keys to the
    /// network), user names, queries, fragments, and base paths with characters that a path cannot have.
    package init(_ text: String) throws(Fault) {
        guard let schemeEnd = text.firstRange(of: "://") else {
            throw Fault(description: "is not an absolute URL such as https://api.dexatel.com")
        }
        switch text[..<schemeEnd.lowerBound].lowercased() {
        case "https": self.isSecure = true
        case "http": self.isSecure = false
        default: throw Fault(description: "must start with https:// (or http:// on loopback)")
        }
        let rest = text[schemeEnd.upperBound...]
        let authority = rest.prefix { $0 != "/" && $0 != "?" && $0 != "#" }
        let path = rest[authority.endIndex...]
        guard !authority.contains("@") else { throw Fault(description: "must not contain a user name or password") }
        let (host, port) = try Self.splitAuthority(authority)
        self.host = host.lowercased()
        self.port = port ?? (self.isSecure ? 443 : 80)
        guard path.utf8.allSatisfy(Self.isPathByte) else {
            throw Fault(description: "has a path with characters that do not belong there, or a query or fragment")
        }
        var base = path
        while base.last == "/" { base.removeLast() }
        self.basePath = String(base)
        guard self.isSecure || Self.isLoopback(self.host) else {
            throw Fault(description: "may be plain http only on loopback (localhost, 127.0.0.0/8, ::1)")
        }
    }

    /// The host as it goes into `Host` and URLs: with brackets if it is an IPv6 address, with the port if it is
    /// unusual.
    package var authority: String {
        let name = self.host.utf8.contains(UInt8(ascii: ":")) ? "[\(self.host)]" : self.host
        return self.port == (self.isSecure ? 443 : 80) ? name : "\(name):\(self.port)"
    }

    /// Scheme and authority, without a path.
    package var origin: String { (self.isSecure ? "https://" : "http://") + self.authority }

    /// The whole URL in one spelling: what precedes every target.
    package var text: String { self.origin + self.basePath }

    private static func splitAuthority(_ authority: Substring) throws(Fault) -> (host: Substring, port: Int?) {
        var host = authority
        var portText: Substring?
        if authority.first == "[" {
            guard let close = authority.firstIndex(of: "]") else { throw Fault(description: "has an unclosed [") }
            host = authority[authority.index(after: authority.startIndex)..<close]
            let tail = authority[authority.index(after: close)...]
            guard tail.isEmpty || tail.first == ":" else { throw Fault(description: "has a malformed port") }
            portText = tail.isEmpty ? nil : tail.dropFirst()
            guard host.utf8.contains(UInt8(ascii: ":")), host.utf8.allSatisfy(Self.isAddressByte) else {
                throw Fault(description: "has a malformed IPv6 address")
            }
        } else {
            if let colon = authority.firstIndex(of: ":") {
                host = authority[..<colon]
                portText = authority[authority.index(after: colon)...]
            }
            guard !host.isEmpty, host.utf8.allSatisfy(Self.isHostByte) else {
                throw Fault(description: "has no valid host name")
            }
        }
        guard let portText else { return (host, nil) }
        guard portText.utf8.allSatisfy({ (0x30...0x39).contains($0) }), let port = Int(portText),
            (1...65_535).contains(port)
        else { throw Fault(description: "must have a port from 1 to 65535") }
        return (host, port)
    }

    private static func isLoopback(_ host: String) -> Bool {
        if host == "localhost" || host == "::1" { return true }
        let parts = host.split(separator: ".", omittingEmptySubsequences: false)
        return parts.count == 4 && parts[0] == "127" && parts.allSatisfy { UInt8($0) != nil }
    }

    private static func isHostByte(_ byte: UInt8) -> Bool {
        switch byte {
        case 0x30...0x39, 0x41...0x5A, 0x61...0x7A, UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "_"): true
        default: false
        }
    }

    private static func isAddressByte(_ byte: UInt8) -> Bool {
        switch byte {
        case 0x30...0x3A, 0x41...0x46, 0x61...0x66, UInt8(ascii: "."): true
        default: false
        }
    }

    /// RFC 3986 §3.3 `pchar`, `/` and `%`.
    private static func isPathByte(_ byte: UInt8) -> Bool {
        switch byte {
        case 0x30...0x39, 0x41...0x5A, 0x61...0x7A: true
        default: "/%-._~!$&'()*+,;=:@".utf8.contains(byte)
        }
    }
}
