/// The hashes of a normal path and of every path above it, from "/" downwards.
///
/// Two paths that are equal have equal hashes in every process; two that differ may collide, so what is decided by
/// hashes must be harmless for a path that it was not meant for.
struct PathHashes {
    /// That of "/" first, the path's own last.
    let all: [UInt64]
    /// Those above that a change of the path invalidates (``InvalidationPath/highestInvalidatedLevel(_:)``).
    let invalidatedAbove: ArraySlice<UInt64>

    /// Reads a path as ``InvalidationPath/normal(_:)`` spells it.
    init(_ path: String) {
        var all: [UInt64] = [Self.root]
        var hash = Self.root
        for byte in path.utf8.dropFirst() {
            if byte == UInt8(ascii: "/") { all.append(hash) }
            hash = (hash ^ UInt64(byte)) &* 0x0000_0100_0000_01B3
        }
        if path.utf8.count > 1 { all.append(hash) }
        self.all = all
        invalidatedAbove = all.dropLast().dropFirst(InvalidationPath.highestInvalidatedLevel(path))
    }

    var own: UInt64 { all[all.count - 1] }

    var above: ArraySlice<UInt64> { all.dropLast() }

    /// FNV-1a, begun behind the first slash.
    private static let root: UInt64 = 0xCBF2_9CE4_8422_2325
}
