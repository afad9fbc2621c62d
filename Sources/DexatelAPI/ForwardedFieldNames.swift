/// Which fields of a message belong to one connection, whatever `Connection` says (RFC 9110 §7.6.1).
package enum ConnectionFields {
    /// Whether a field is one of them; its case does not matter.
    ///
    /// RFC 9110 §7.6.1 names the first six; `Trailer` announces fields that are not forwarded, and the rest are
    /// credentials and challenges between neighbours (§11.7) or upgrades.
    package static func contains(_ name: String) -> Bool { names.contains { name.isASCII($0) } }

    private static let names: [StaticString] = [
        "connection", "proxy-connection", "keep-alive", "te", "transfer-encoding", "upgrade",
        "trailer", "proxy-authenticate", "proxy-authorization", "proxy-authentication-info", "http2-settings",
    ]
}

/// The one decision about which of a request's fields are sent upstream: what forwards requests and what chooses stored
/// replies by `Vary` both ask it, so that a reply is never kept under a value that the upstream has not seen.
package struct ForwardedFieldNames: Sendable {
    /// The names that the request's `Connection` lists.
    private let named: [String]

    /// - Parameter connection: The lines of the request's `Connection`.
    package init(connection lines: [String]) {
        named = lines.flatMap { line in
            line.split(separator: ",").map { String(Substring(String($0).utf8.trimmingOptionalWhitespace())) }
        }
    }

    /// Whether a field goes upstream as the client sent it; its case does not matter.
    ///
    /// Left out are the fields of the connection, those that `Connection` names, those that the relay writes itself
    /// (`Host` and the framing), `Expect`, which it answers, and the API key, which travels as a secret.
    package func contains(_ name: String) -> Bool {
        if ConnectionFields.contains(name) || Self.rewritten.contains(where: { name.isASCII($0) }) { return false }
        return !named.contains { $0.isSameASCII(as: name) }
    }

    private static let rewritten: [StaticString] = ["host", "content-length", "expect", "x-dexatel-key"]
}
