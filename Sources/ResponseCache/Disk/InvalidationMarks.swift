import Foundation

/// Which paths have been invalidated, and when, for replies that are not in memory (RFC 9111 §4.4, design §5.5).
///
/// A stored reply carries the number of its change, an invalidation notes its own: a reply is in doubt if any
/// invalidation that concerns its path has the greater one. So an invalidation costs a few dictionary entries however
/// much is stored below its path, and nothing on disk. When there are too many marks, the older generation of them gives
/// way to one number: all that was stored before it is in doubt. Doubt is always safe: such a reply is served once
/// confirmed, or while the upstream fails.
struct InvalidationMarks: Sendable {
    private struct Mark {
        /// The path itself.
        var exact: UInt64 = 0
        /// The path and everything below.
        var below: UInt64 = 0
    }

    /// How many paths are remembered with a file.
    static let maxPaths = 65_536

    private let maxPaths: Int

    /// What was stored up to this change is in doubt, whatever its path.
    private(set) var floor: UInt64 = 0
    private var young: [UInt64: Mark] = [:]
    /// The generation before: given up as a whole, so that no single invalidation takes long.
    private var old: [UInt64: Mark] = [:]
    private var oldLatest: UInt64 = 0

    /// How many paths are remembered now; those that are in both generations count twice.
    var count: Int { young.count + old.count }

    /// The greatest number that it holds.
    var latest: UInt64 { young.values.reduce(max(floor, oldLatest)) { max($0, $1.exact, $1.below) } }

    /// Puts a path, those above and those below in doubt.
    mutating func invalidate(_ path: PathHashes, at sequence: UInt64) {
        young[path.own, default: Mark()].below = sequence
        for hash in path.invalidatedAbove { young[hash, default: Mark()].exact = sequence }
        makeRoom(sequence)
    }

    /// Puts one path in doubt: a newer reply to it could not be kept.
    mutating func doubt(_ path: PathHashes, at sequence: UInt64) {
        young[path.own, default: Mark()].exact = max(sequence, young[path.own]?.exact ?? 0)
        makeRoom(sequence)
    }

    /// Puts all that was stored so far in doubt.
    mutating func doubtEverything(before sequence: UInt64) {
        floor = max(floor, sequence == 0 ? 0 : sequence - 1)
        young = [:]
        old = [:]
    }

    /// Whether something has happened to a path since a reply was stored.
    func isInDoubt(_ path: PathHashes, storedAt sequence: UInt64) -> Bool {
        if sequence <= floor { return true }
        return [young, old].contains { marks in
            if let mark = marks[path.own], mark.exact > sequence || mark.below > sequence { return true }
            return path.above.contains { (marks[$0]?.below ?? 0) > sequence }
        }
    }

    private mutating func makeRoom(_ sequence: UInt64) {
        // A path has 17 levels at most.
        guard young.count + InvalidationPath.maxSegments >= maxPaths / 2 else { return }
        floor = max(floor, oldLatest)
        old = young
        oldLatest = max(sequence, latest)
        young = [:]
    }

    // MARK: - On disk

    /// The marks as bytes, 24 for each.
    var encoded: Data {
        let marks = old.merging(young) { Mark(exact: max($0.exact, $1.exact), below: max($0.below, $1.below)) }
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
    ///
    /// - Parameter maxPaths: How many paths are remembered at most.
    init(maxPaths: Int = InvalidationMarks.maxPaths) { self.maxPaths = maxPaths }

    /// Reads what ``encoded`` wrote; nil for anything else.
    init?(encoded data: Data) {
        guard data.count >= 8, (data.count - 8) % 24 == 0, (data.count - 8) / 24 <= Self.maxPaths else { return nil }
        maxPaths = Self.maxPaths
        data.withUnsafeBytes { raw in
            func word(_ offset: Int) -> UInt64 {
                UInt64(littleEndian: raw.loadUnaligned(fromByteOffset: offset, as: UInt64.self))
            }
            floor = word(0)
            old.reserveCapacity((data.count - 8) / 24)
            for offset in stride(from: 8, to: data.count, by: 24) {
                let mark = Mark(exact: word(offset + 8), below: word(offset + 16))
                old[word(offset)] = mark
                oldLatest = max(oldLatest, mark.exact, mark.below)
            }
        }
    }
}
