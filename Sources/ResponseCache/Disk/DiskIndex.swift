/// Knows for what keys the file may hold replies, so that a miss in memory looks on disk only where that may help.
///
/// It is a Bloom filter: it may take a key for one of the file's that is none, in a few of a thousand cases, and never
/// overlooks one. Keys are not taken out again; once it is full it is made anew from the file.
struct DiskIndex: Sendable {
    /// Bits for each key that there is room for.
    private static let bitsPerKey = 16
    private static let probes: UInt64 = 4
    /// The bytes of the file that make room for a key.
    private static let bytesPerKey = 1024

    private var words: [UInt64]
    private let mask: UInt64
    private let capacity: Int
    private var count = 0

    /// Makes an empty one for a file of so many bytes.
    init(databaseBytes: Int) {
        capacity = max(1024, databaseBytes / Self.bytesPerKey)
        var bits = 1024
        while bits < capacity * Self.bitsPerKey { bits *= 2 }
        words = [UInt64](repeating: 0, count: bits / 64)
        mask = UInt64(bits - 1)
    }

    /// Whether more keys were added than the file is likely to hold, many of which will have gone from it.
    var isFull: Bool { count > 2 * capacity }

    mutating func insert(_ key: DiskKeyHash) {
        var isNew = false
        for probe in 0..<Self.probes {
            let (word, bit) = place(key, probe)
            isNew = isNew || words[word] & bit == 0
            words[word] |= bit
        }
        if isNew { count += 1 }
    }

    func mayContain(_ key: DiskKeyHash) -> Bool {
        for probe in 0..<Self.probes {
            let (word, bit) = place(key, probe)
            if words[word] & bit == 0 { return false }
        }
        return true
    }

    private func place(_ key: DiskKeyHash, _ probe: UInt64) -> (word: Int, bit: UInt64) {
        let place = (key.value &+ probe &* (key.value >> 32 | 1)) & mask
        return (Int(place / 64), 1 << (place % 64))
    }
}

/// A cache key as ``DiskIndex`` knows it, from a request or from the file.
struct DiskKeyHash: Sendable {
    let value: UInt64

    init(_ partition: CachePartition, targetHash: UInt64) {
        var hash = StableHash()
        switch partition {
        case .shared: hash.combine(0 as UInt64)
        case .key(let high, let low):
            hash.combine(high)
            hash.combine(low)
        }
        hash.combine(targetHash)
        value = hash.value
    }

    init(_ key: CacheKey) { self.init(key.partition, targetHash: StableHash.of(text: key.target)) }
}
