/// An entity tag (RFC 9110 §8.8.3).
struct EntityTag: Equatable, Sendable {
    var isWeak: Bool
    /// With its quotes.
    var opaque: ArraySlice<UInt8>

    /// Reads one tag that is the whole value.
    init?(_ text: String) {
        var rest = Array(text.utf8)[...].trimmed
        guard let tag = Self.take(from: &rest), rest.isEmpty else { return nil }
        self = tag
    }

    private init(isWeak: Bool, opaque: ArraySlice<UInt8>) {
        self.isWeak = isWeak
        self.opaque = opaque
    }

    static func == (one: EntityTag, other: EntityTag) -> Bool {
        one.isWeak == other.isWeak && one.opaque.elementsEqual(other.opaque)
    }

    /// The comparison for `If-None-Match`: what is weak does not matter (RFC 9110 §8.8.3.2).
    func matchesWeakly(_ other: EntityTag) -> Bool { opaque.elementsEqual(other.opaque) }

    /// The comparison for `If-Range`: both must be strong.
    func matchesStrongly(_ other: EntityTag) -> Bool { !isWeak && !other.isWeak && matchesWeakly(other) }

    /// Reads a list of tags over several lines; nil if any part of it is no tag.
    static func list(_ lines: [String]) -> [EntityTag]? {
        var tags: [EntityTag] = []
        for line in lines {
            var rest = Array(line.utf8)[...]
            while true {
                while let first = rest.first, first.isOptionalWhitespace || first == UInt8(ascii: ",") {
                    rest.removeFirst()
                }
                if rest.isEmpty { break }
                guard let tag = take(from: &rest) else { return nil }
                tags.append(tag)
                let space = rest.prefix { $0.isOptionalWhitespace }
                rest = rest[space.endIndex...]
                guard rest.isEmpty || rest.first == UInt8(ascii: ",") else { return nil }
            }
        }
        return tags
    }

    private static func take(from rest: inout ArraySlice<UInt8>) -> EntityTag? {
        // The "W" is the one letter of header fields in which case matters.
        let isWeak = rest.starts(with: "W/".utf8)
        let start = rest.startIndex + (isWeak ? 2 : 0)
        guard start < rest.endIndex, rest[start] == UInt8(ascii: "\"") else { return nil }
        guard let end = rest[(start + 1)...].firstIndex(of: UInt8(ascii: "\"")) else { return nil }
        let inner = rest[(start + 1)..<end]
        guard inner.allSatisfy({ $0 == 0x21 || $0 >= 0x23 && $0 != 0x7F }) else { return nil }
        defer { rest = rest[(end + 1)...] }
        return EntityTag(isWeak: isWeak, opaque: rest[start...end])
    }
}
