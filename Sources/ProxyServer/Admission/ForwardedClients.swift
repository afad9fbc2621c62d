import DexatelAPI

/// Whom the proxies before the relay say that they speak for: `X-Forwarded-For` and `Forwarded` (RFC 7239).
enum ForwardedClients {
    /// Whether all of them are on this host; who is unknown or hidden is not.
    static func areLocal(forwardedFor: [String], forwarded: [String]) -> Bool {
        let members = forwardedFor.flatMap { $0.split(separator: ",") }
        let pairs = forwarded.flatMap { $0.split { $0 == "," || $0 == ";" } }
        return members.allSatisfy(isLocal) && pairs.compactMap(client).allSatisfy(isLocal)
    }

    /// The value of a `for` parameter; nil for the others.
    private static func client(_ pair: Substring) -> Substring? {
        let parts = pair.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
        guard parts.count == 2, String(trimmed(parts[0])).isASCII("for") else { return nil }
        return parts[1]
    }

    /// An address, with or without a port and quotes.
    private static func isLocal(_ node: Substring) -> Bool {
        var text = trimmed(node)
        if text.hasPrefix("\""), text.hasSuffix("\""), text.utf8.count > 1 { text = text.dropFirst().dropLast() }
        return NetworkHost.isLoopback(String(text)) || Authority(text).map { NetworkHost.isLoopback($0.host) } ?? false
    }

    private static func trimmed(_ text: Substring) -> Substring {
        var text = text
        while let first = text.utf8.first, first == 0x20 || first == 0x09 { text = text.dropFirst() }
        while let last = text.utf8.last, last == 0x20 || last == 0x09 { text = text.dropLast() }
        return text
    }
}
