/// A path that is not plainly written, taken apart as finely as any server might take it apart.
///
/// Octets are decoded until nothing is left to decode; `/` and `\` separate; a segment is cut where some server
/// cuts it (`;` path parameters, and an encoded NUL, `?` or `#`); empty and dot segments go. That is the usual
/// reading. Others differ in the order of these steps: an encoded slash may be data when `..` takes its segment
/// away, an empty segment may or may not count for `..`, a parameter may swallow what follows it. Each of them
/// leaves some of these segments in this order, so where readings differ, holding the segments of a contact in
/// order is enough to be taken for one.
struct SpelledPath {
    /// What the usual reading leaves.
    private var resolved: [ArraySlice<UInt8>] = []
    /// What any reading could leave: also what `..` took away.
    private var all: [ArraySlice<UInt8>] = []
    /// Whether readings differ in where a segment ends.
    private var hasUnclearBounds: Bool
    /// Whether some reading takes segments away, apart from empty ones and `.`.
    private var losesSegments = false

    /// Takes a raw path apart; a query is left out.
    init(_ raw: UnsafeBufferPointer<UInt8>.SubSequence) {
        let path = raw.prefix { $0 != UInt8(ascii: "?") }
        let decoded = Self.decode(path)
        hasUnclearBounds = decoded.count != path.count || decoded.contains(UInt8(ascii: "\\"))
        let segments = decoded.split(omittingEmptySubsequences: false) {
            $0 == UInt8(ascii: "/") || $0 == UInt8(ascii: "\\")
        }
        for (index, segment) in segments.enumerated() {
            let kept = segment.prefix { !Self.cutsSegment($0) }
            if kept.count != segment.count {
                hasUnclearBounds = true
                losesSegments = true
            }
            if kept.isEmpty {
                let isInside = index > 0 && index < segments.count - 1
                hasUnclearBounds = hasUnclearBounds || isInside
                // "//host/path" is a network-path reference to some (RFC 3986 §4.2): the host is no segment then.
                losesSegments = losesSegments || isInside && index == 1
            } else if kept.elementsEqual("..".utf8) {
                losesSegments = true
                _ = resolved.popLast()
            } else if !kept.elementsEqual(".".utf8) {
                resolved.append(kept)
                all.append(kept)
            }
        }
    }

    /// What the path names: never `.contact`, as the spelling is not the canonical one.
    var target: RequestTarget {
        if resolved.first?.elementsEqual("_relay".utf8) == true {
            return .relay(path: resolved.reduce(into: "") { $0 += "/" + String(decoding: $1, as: UTF8.self) })
        }
        if resolved.count == Self.contactShape.count, Self.contactLiteralsMatch(resolved) {
            let isContact = UUIDText.parse(resolved[2]) != nil && UUIDText.parse(resolved[4]) != nil
            return isContact ? .contactNotCanonical : .contactIdentifierInvalid
        }
        if hasUnclearBounds, losesSegments {
            if all.contains(where: { $0.elementsEqual("_relay".utf8) }) { return .relay(path: "/_relay") }
            if holdsContactInOrder { return .contactNotCanonical }
        }
        // There is nothing to get past here, and pending writes are to show in every spelling (P5).
        guard resolved.count == Self.contactShape.count - 1, Self.contactLiteralsMatch(resolved),
            let audience = UUIDText.parse(resolved[2])
        else { return .other }
        return .contactList(audience: audience)
    }

    /// The segments of a contact's path; nil stands for a UUID.
    private static let contactShape: [String?] = ["v1", "audiences", nil, "contacts", nil]

    private static func contactLiteralsMatch(_ segments: [ArraySlice<UInt8>]) -> Bool {
        zip(segments, contactShape).allSatisfy { segment, literal in
            literal.map { segment.elementsEqual($0.utf8) } ?? true
        }
    }

    /// Whether leaving out some segments could make the path a contact's.
    private var holdsContactInOrder: Bool {
        var found = 0
        for segment in all where found < Self.contactShape.count {
            let fits = Self.contactShape[found].map { segment.elementsEqual($0.utf8) }
            if fits ?? (UUIDText.parse(segment) != nil) { found += 1 }
        }
        return found == Self.contactShape.count
    }

    private static func cutsSegment(_ byte: UInt8) -> Bool {
        byte == UInt8(ascii: ";") || byte == UInt8(ascii: "#") || byte == UInt8(ascii: "?") || byte == 0
    }

    /// Decodes octets, and octets that come out of that (`%252D`), in one pass; what is no octet stays.
    private static func decode(_ path: some Sequence<UInt8>) -> [UInt8] {
        var decoded: [UInt8] = []
        for byte in path {
            decoded.append(byte)
            while decoded.count >= 3, decoded[decoded.count - 3] == UInt8(ascii: "%"),
                let high = HexDigit.value(decoded[decoded.count - 2]),
                let low = HexDigit.value(decoded[decoded.count - 1])
            {
                decoded.removeLast(3)
                decoded.append(high << 4 | low)
            }
        }
        return decoded
    }
}
