package import NIOHTTP1

/// What a reply to a request that may have changed something invalidates (RFC 9111 §4.4, design §5.5).
package enum UnsafeReply {
    /// Whether a method is unsafe, or unknown, which counts as unsafe (RFC 9110 §9.2.1).
    package static func isUnsafe(_ method: HTTPMethod) -> Bool {
        switch method {
        case .GET, .HEAD, .OPTIONS, .TRACE: false
        default: true
        }
    }

    /// The targets to invalidate: the request's own, and what `Location` and `Content-Location` name.
    ///
    /// - Parameters:
    ///   - origin: Scheme and authority of the upstream in lower case, say `https://api.dexatel.com`: a reply speaks
    ///     for no other origin.
    /// - Returns: Nothing for a safe method or an error.
    package static func invalidatedTargets(
        method: HTTPMethod,
        target: String,
        status: Int,
        headers: HTTPHeaders,
        origin: String
    ) -> [String] {
        guard isUnsafe(method), (200..<400).contains(status) else { return [] }
        let named = ["Location", "Content-Location"].flatMap { headers[$0] }
        return [target] + named.compactMap { localTarget($0, base: target, origin: origin) }
    }

    /// The target of a URI reference (RFC 3986 §4.1), if it is one of the origin's.
    private static func localTarget(_ reference: String, base: String, origin: String) -> String? {
        let text = Array(reference.utf8)[...].trimmed
        guard !text.isEmpty else { return nil }
        if text.starts(with: "//".utf8) {
            let scheme = origin.prefix { $0 != ":" }
            return localTarget("\(scheme):" + String(decoding: text, as: UTF8.self), base: base, origin: origin)
        }
        if text.first == UInt8(ascii: "/") { return String(decoding: text, as: UTF8.self) }
        let scheme = text.prefix { $0.isTokenByte }
        if text[scheme.endIndex...].starts(with: "://".utf8) {
            let lowered = Array(text.lowercasedText.utf8)
            guard lowered.starts(with: origin.utf8) else { return nil }
            let rest = lowered.dropFirst(origin.utf8.count)
            guard rest.isEmpty || "/?#".utf8.contains(rest[rest.startIndex]) else { return nil }
            return rest.first == UInt8(ascii: "/") ? String(decoding: rest, as: UTF8.self) : "/"
        }
        guard text[scheme.endIndex...].first != UInt8(ascii: ":") else { return nil }
        let path = base.utf8.prefix { $0 != UInt8(ascii: "?") }
        let folder = path.lastIndex(of: UInt8(ascii: "/")).map { path[...$0] } ?? path.prefix(0)
        return String(decoding: folder, as: UTF8.self) + String(decoding: text, as: UTF8.self)
    }
}
