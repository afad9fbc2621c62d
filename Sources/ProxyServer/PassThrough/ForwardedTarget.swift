/// The request target in origin form, which is the only one that goes upstream (RFC 9112 §3.2).
enum ForwardedTarget {
    /// The path and query of a target in origin form or absolute form (`http://…`, `https://…`), byte for byte.
    ///
    /// - Returns: nil for every other form, and for characters that no target may hold (RFC 3986 §3.3): what cannot be
    ///   forwarded as it is must not be queued either.
    static func originForm(_ target: String) -> String? {
        guard isPrintable(target) else { return nil }
        if target.utf8.first == UInt8(ascii: "/") { return target }
        guard let (_, rest) = absoluteForm(target) else { return nil }
        // An empty path is "/" (RFC 9110 §4.2.3).
        return rest.utf8.first == UInt8(ascii: "/") ? String(rest) : "/" + String(rest)
    }

    /// The authority of a target in absolute form; nil for every other form.
    static func authority(_ target: String) -> String? {
        guard target.utf8.first != UInt8(ascii: "/") else { return nil }
        return absoluteForm(target).map { String($0.authority) }
    }

    private static func absoluteForm(_ target: String) -> (authority: Substring, rest: Substring)? {
        let bytes = target.utf8
        guard let scheme = ["http://", "https://"].first(where: { hasPrefix(bytes, $0) }) else { return nil }
        let hierarchy = bytes.dropFirst(scheme.utf8.count)
        let rest = hierarchy.drop { $0 != UInt8(ascii: "/") && $0 != UInt8(ascii: "?") }
        guard rest.startIndex != hierarchy.startIndex else { return nil }
        return (target[hierarchy.startIndex..<rest.startIndex], Substring(rest))
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
