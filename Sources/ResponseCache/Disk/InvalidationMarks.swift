import Foundation

/// Which paths have been invalidated, and when, for replies that are not in memory (RFC 9111 §4.4, design §5.5).
///
/// A stored reply carries the number of its change, an invalidation notes its own: a reply is in doubt if any
/// invalidation that concerns its path has the greater one. So an invalidation costs a few dictionary entries however
/// much is stored below its path, and nothing on disk. When there are too many marks, the older half gives way to one
/// number: all that was stored before it is in doubt. Doubt is always safe: such a reply is served once confirmed, or
/// while the upstream fails.
struct InvalidationMarks: Sendable, Equatable {
    private struct Mark: Equatable {
        /// The path itself.
        var exact: UInt64 = 0
        /// The path and everything below.
        var below: UInt64 = 0
    }

    /// How many paths are remembered.
    static let maxPaths = 65_536

    /// What was stored up to this change is in doubt, whatever its path.
    private(set) var floor: UInt64 = 0
    private var marks: [UInt64: Mark] = [:]

    /// The greatest number that it holds.
    var latest: UInt64 { marks.values.reduce(floor) { max($0, $1.exact, $1.below) } }

    /// How many paths are remembered now.
    var count: Int { marks.count }

    /// Puts a path, those above and those below in doubt.
    mutating func invalidate(_ path: PathHashes, at sequence: UInt64) {
        marks[path.own, default: Mark()].below = sequence
        for hash in path.above { marks[hash, default: Mark()].exact = sequence }
        if marks.count > Self.maxPaths { forgetOlderHalf() }
    }

    /// Puts one path in doubt: a newer reply to it could not be kept.
    mutating func doubt(_ path: PathHashes, at sequence: UInt64) {
        marks[path.own, default: Mark()].exact = max(sequence, marks[path.own]?.exact ?? 0)
        if marks.count > Self.maxPaths { forgetOlderHalf() }
    }

    /// Puts all that was stored so far in doubt.
    mutating func doubtEverything(before sequence: UInt64) {
        floor = max(floor, sequence == 0 ? 0 : sequence - 1)
        marks.removeAll()
    }

    /// Whether something has happened to a path since a reply was stored.
    func isInDoubt(_ path: PathHashes, storedAt sequence: UInt64) -> Bool {
        if sequence <= floor { return true }
        if let mark = marks[path.own], mark.exact > sequence || mark.below > sequence { return true }
        return path.above.contains { (marks[$0]?.below ?? 0) > sequence }
    }

    private mutating func forgetOlderHalf() {
        let ages = marks.values.map { max($0.exact, $0.below) }.sorted()
        floor = max(floor, ages[ages.count / 2])
        marks = marks.filter { max($0.value.exact, $0.value.below) > floor }
    }

    // MARK: - On disk

    /// The marks as bytes, 24 for each.
    var encoded: Data {
        var data = Data(capacity: 8 + marks.count * 24)
        func append(_ value: UInt64) { withUnsafeBytes(of: value.littleEndian) { data.append(contentsOf: $0) } }
        append(floor)
        for (hash, mark) in marks {
            append(hash)
            append(mark.exact)
            append(mark.below)
        }
        return data
    }

    /// No marks.
    init() {}

    /// Reads what ``encoded`` wrote; nil for anything else.
    init?(encoded data: Data) {
        guard data.count >= 8, (data.count - 8) % 24 == 0, (data.count - 8) / 24 <= Self.maxPaths else { return nil }
        data.withUnsafeBytes { raw in
            func word(_ offset: Int) -> UInt64 {
                UInt64(littleEndian: raw.loadUnaligned(fromByteOffset: offset, as: UInt64.self))
            }
            floor = word(0)
            marks.reserveCapacity((data.count - 8) / 24)
            for offset in stride(from: 8, to: data.count, by: 24) {
                marks[word(offset)] = Mark(exact: word(offset + 8), below: word(offset + 16))
            }
        }
    }
}
