/// The request target in origin form, which is the only one that goes upstream (RFC 9112 §3.2).
enum ForwardedTarget {
    /// The path and query of a target in origin form or absolute form (`http://…`, `https://…`), byte for byte.
    ///
    /// - Returns: nil for every other form, and for characters that no target may hold (RFC 3986 §3.3): what cannot be
    ///   forwarded as it is must not be queued either.
    static func originForm(_ target: String) -> String? {
        let bytes = target.utf8
        guard isPrintable(target) else { return nil }
        if bytes.first == UInt8(ascii: "/") { return target }
        guard let scheme = ["http://", "https://"].first(where: { hasPrefix(bytes, $0) }) else { return nil }
        let authority = bytes.dropFirst(scheme.utf8.count)
        let rest = authority.drop { $0 != UInt8(ascii: "/") && $0 != UInt8(ascii: "?") }
        guard rest.startIndex != authority.startIndex else { return nil }
        // An empty path is "/" (RFC 9110 §4.2.3).
        return rest.first == UInt8(ascii: "/") ? String(Substring(rest)) : "/" + String(Substring(rest))
    }

    /// Whether there is nothing but printable ASCII, and no fragment; all bytes are looked at, several at a time.
    private static func isPrintable(_ target: String) -> Bool {
        func check(_ bytes: UnsafeBufferPointer<UInt8>) -> Bool {
            var isBad = false
            for byte in bytes { isBad = isBad || byte &- 0x21 > 0x7E - 0x21 || byte == UInt8(ascii: "#") }
            return !isBad
        }
        return target.utf8.withContiguousStorageIfAvailable(check) ?? Array(target.utf8).withUnsafeBufferPointer(check)
    }

    /// Schemes do not depend on case (RFC 3986 §3.1).
    private static func hasPrefix(_ bytes: String.UTF8View, _ scheme: String) -> Bool {
        bytes.count >= scheme.utf8.count
            && zip(bytes, scheme.utf8).allSatisfy { $0 == $1 || (0x41...0x5A).contains($0) && $0 | 0x20 == $1 }
    }
}
