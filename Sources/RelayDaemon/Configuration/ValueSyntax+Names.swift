import FoundationEssentials
import ProxyServer

extension ValueSyntax where Value == String {
    /// An IP address or `localhost`.
    static var address: Self {
        Self(type: "address", allowed: "an IP address or localhost", isQuoted: true) {
            $0 == "localhost" || NetworkHost.isAddress($0) ? $0 : nil
        } format: {
            $0
        }
    }

    /// Scheme, host and port of a server.
    ///
    /// A refused text is not repeated: a URL can carry a password.
    static var origin: Self {
        Self(
            type: "URL",
            allowed: "an http:// or https:// URL of a host and optionally a port, without a path, query or user",
            isQuoted: true,
            showsRefusedValue: false,
            parse: parseOrigin,
            format: { $0 }
        )
    }

    /// The path of a file or folder.
    static var path: Self {
        Self(type: "path", allowed: "a path", isQuoted: true) {
            pathText($0, maxBytes: 4095)
        } format: {
            $0
        }
    }

    /// The path of a Unix socket, which the kernel limits to 107 bytes.
    static var socketPath: Self {
        Self(type: "path", allowed: "a path of at most \(maxSocketPathBytes) bytes", isQuoted: true) {
            pathText($0, maxBytes: maxSocketPathBytes)
        } format: {
            $0
        }
    }

    /// `sun_path` has 108 bytes, one of them for the NUL at the end (unix(7)).
    static var maxSocketPathBytes: Int { 107 }

    private static func pathText(_ text: String, maxBytes: Int) -> String? {
        let isPrintable = text.unicodeScalars.allSatisfy { $0.properties.generalCategory != .control }
        return (1...maxBytes).contains(text.utf8.count) && isPrintable ? text : nil
    }

    @Sendable private static func parseOrigin(_ text: String) -> String? {
        guard
            let parts = URLComponents(string: text, encodingInvalidCharacters: false),
            let scheme = parts.scheme?.lowercased(), ["http", "https"].contains(scheme),
            let host = parts.host, !host.isEmpty,
            parts.user == nil, parts.password == nil, parts.query == nil, parts.fragment == nil,
            ["", "/"].contains(parts.path),
            parts.port.map((1...65_535).contains) ?? true
        else { return nil }
        return "\(scheme)://\(host.lowercased())" + (parts.port.map { ":\($0)" } ?? "")
    }
}

extension ValueSyntax where Value == String? {
    /// The URL of a webhook, or nothing; a refused text is not repeated, as it may hold a secret.
    static var optionalWebhook: Self {
        var syntax = optional(
            ValueSyntax<String>(
                type: "URL",
                allowed: "an https:// URL, or an http:// one on loopback, without a user",
                isQuoted: true,
                parse: { WebhookURL($0) == nil ? nil : $0 },
                format: { $0 }
            )
        )
        syntax.showsRefusedValue = false
        return syntax
    }

    /// The URL of a proxy, or nothing; a refused text is not repeated, as it may hold a password.
    static var optionalProxy: Self {
        var syntax = optional(
            ValueSyntax<String>(
                type: "URL",
                allowed: "an http:// URL of a host and a port, without a path, query or user",
                isQuoted: true,
                parse: { text in
                    ValueSyntax<String>.origin.parse(text).flatMap { $0.hasPrefix("http://") ? $0 : nil }
                },
                format: { $0 }
            )
        )
        syntax.showsRefusedValue = false
        return syntax
    }

    /// A path, or nothing.
    static var optionalPath: Self { .optional(.path) }

    /// An IP address or `localhost`, or nothing.
    static var optionalAddress: Self { .optional(.address) }

    /// The path of a Unix socket, or nothing.
    static var optionalSocketPath: Self { .optional(.socketPath) }

    /// Empty text stands for no value, so that a later source can take an earlier one's value away.
    private static func optional(_ syntax: ValueSyntax<String>) -> Self {
        Self(type: syntax.type, allowed: syntax.allowed + ", or \"\" for none", isQuoted: syntax.isQuoted) { text in
            text.isEmpty ? .some(nil) : syntax.parse(text).map { .some($0) }
        } format: {
            $0 ?? ""
        }
    }
}
