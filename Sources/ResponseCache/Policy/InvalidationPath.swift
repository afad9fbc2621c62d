import DexatelAPI
import NIOHTTP1

/// The path of a target in the one spelling by which invalidation compares paths.
///
/// Escapes are decoded, letters lowered, empty and dot segments resolved, and what lies deeper than
/// ``maxSegments`` is cut: paths that some server may take for one another are one here. That invalidates too much at
/// times, and never too little.
enum InvalidationPath {
    static let maxSegments = 16

    /// The normal path, without the query; "/" at least.
    static func normal(_ target: String) -> String {
        let plain = target.utf8.withContiguousStorageIfAvailable { plainLength($0) } ?? nil
        if let plain {
            return plain == target.utf8.count ? target : String(target.utf8.prefix(plain)) ?? spelled(target)
        }
        return spelled(target)
    }

    /// Whether a change of one normal path invalidates another.
    static func concerns(_ changed: String, _ path: String) -> Bool {
        if EventLog.isAtOrBelow(path, changed) { return true }
        return EventLog.isAtOrBelow(changed, path) && level(path) >= highestInvalidatedLevel(changed)
    }

    /// How far up a change of a normal path invalidates: 0 for "/", 1 for what lies directly below, and so on.
    ///
    /// Below an audience it ends with the audience: its own representation may show its contacts, and the list of all
    /// audiences does not. Everywhere else it goes up to "/".
    static func highestInvalidatedLevel(_ path: String) -> Int {
        path.utf8.starts(with: "/v1/audiences/".utf8) && level(path) > audienceLevel ? audienceLevel : 0
    }

    /// `/v1/audiences/{a}`.
    private static let audienceLevel = 3

    /// How many paths are above a normal one.
    static func level(_ path: String) -> Int {
        path == "/" ? 0 : path.utf8.count { $0 == UInt8(ascii: "/") }
    }

    /// The length of a path that is normal as it stands; nil for any other.
    private static func plainLength(_ target: UnsafeBufferPointer<UInt8>) -> Int? {
        guard target.first == UInt8(ascii: "/") else { return nil }
        var segments = 0
        var previous: UInt8 = 0
        for index in target.indices {
            let byte = target[index]
            switch byte {
            case UInt8(ascii: "?"): return previous == UInt8(ascii: "/") && index > 1 ? nil : index
            case UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "%"), UInt8(ascii: "\\"), UInt8(ascii: "#"),
                UInt8(ascii: ";"), 0x80...:
                return nil
            case UInt8(ascii: "/"):
                segments += 1
                if previous == UInt8(ascii: "/") || segments > maxSegments { return nil }
            case UInt8(ascii: ".") where previous == UInt8(ascii: "/"): return nil
            default: break
            }
            previous = byte
        }
        return previous == UInt8(ascii: "/") && target.count > 1 ? nil : target.count
    }

    private static func spelled(_ target: String) -> String {
        var bytes = Array(target.utf8)[...]
        if let scheme = bytes.firstIndex(of: UInt8(ascii: ":")), bytes[scheme...].starts(with: "://".utf8),
            bytes[..<scheme].allSatisfy({ $0.isTokenByte })
        {
            let authority = bytes[(scheme + 3)...]
            bytes = authority[(authority.firstIndex { "/?#\\".utf8.contains($0) } ?? authority.endIndex)...]
        }
        let raw = bytes.prefix { $0 != UInt8(ascii: "?") && $0 != UInt8(ascii: "#") }
        var segments: [ArraySlice<UInt8>] = []
        for segment in decoded(raw)[...].split(whereSeparator: { $0 == UInt8(ascii: "/") || $0 == UInt8(ascii: "\\") })
        {
            let kept = segment.prefix { $0 != UInt8(ascii: ";") }
            if kept.elementsEqual("..".utf8) {
                _ = segments.popLast()
            } else if !kept.isEmpty, !kept.elementsEqual(".".utf8) {
                segments.append(kept)
            }
        }
        guard !segments.isEmpty else { return "/" }
        return segments.prefix(maxSegments).reduce(into: "") { $0 += "/" + $1.lowercasedText }
    }

    private static func decoded(_ bytes: ArraySlice<UInt8>) -> [UInt8] {
        var out: [UInt8] = []
        var index = bytes.startIndex
        while index < bytes.endIndex {
            if bytes[index] == UInt8(ascii: "%"), index + 2 < bytes.endIndex,
                let value = UInt8(String(decoding: bytes[(index + 1)...(index + 2)], as: UTF8.self), radix: 16),
                bytes[index + 1] != UInt8(ascii: "+")
            {
                out.append(value)
                index += 3
            } else {
                out.append(bytes[index])
                index += 1
            }
        }
        return out
    }
}
