/// The primary cache key (RFC 9111 §2): whose reply, and to which target.
///
/// The method is not part of it: only replies to GET are stored, and HEAD is answered from them.
package struct CacheKey: Hashable, Sendable {
    /// Whose.
    package let partition: CachePartition
    /// The request target in origin form, byte for byte, with its query.
    package let target: String
    /// The hash of both.
    ///
    /// Computed once and seeded at random for each process, so that nobody outside can make keys collide.
    package let hash: UInt64

    /// Makes the key of a request.
    package init(partition: CachePartition, target: String) {
        self.partition = partition
        self.target = target
        var hasher = Hasher()
        switch partition {
        case .shared: hasher.combine(0 as UInt8)
        case .key(let high, let low):
            hasher.combine(high)
            hasher.combine(low)
        }
        // Bytes, not characters: texts that Unicode calls equal are different targets.
        let isHashed: Void? = target.utf8.withContiguousStorageIfAvailable { hasher.combine(bytes: .init($0)) }
        if isHashed == nil { for byte in target.utf8 { hasher.combine(byte) } }
        hash = UInt64(truncatingIfNeeded: hasher.finalize())
    }

    /// Compares byte by byte.
    package static func == (one: CacheKey, other: CacheKey) -> Bool {
        guard one.hash == other.hash, one.partition == other.partition else { return false }
        let same = one.target.utf8.withContiguousStorageIfAvailable { mine in
            other.target.utf8.withContiguousStorageIfAvailable { sameBytes(.init(mine), .init($0)) }
        }
        return (same ?? nil) ?? one.target.utf8.elementsEqual(other.target.utf8)
    }

    /// Eight bytes at a time, as this is the longest loop of a hit.
    private static func sameBytes(_ one: UnsafeRawBufferPointer, _ other: UnsafeRawBufferPointer) -> Bool {
        guard one.count == other.count else { return false }
        var offset = 0
        while offset + 8 <= one.count {
            let mine = one.loadUnaligned(fromByteOffset: offset, as: UInt64.self)
            if mine != other.loadUnaligned(fromByteOffset: offset, as: UInt64.self) { return false }
            offset += 8
        }
        while offset < one.count {
            if one[offset] != other[offset] { return false }
            offset += 1
        }
        return true
    }

    /// Feeds the hash that was computed at the start.
    package func hash(into hasher: inout Hasher) { hasher.combine(hash) }
}
