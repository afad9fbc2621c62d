/// Finds the first slot of a key: open addressing, linear probing, no tombstones.
///
/// A bucket is 8 bytes: half of the key's hash, and the slot's index plus one; 0 is empty. Only a bucket whose half
/// hash agrees leads to a look at the slot.
struct KeyIndex {
    private var buckets: [UInt64]
    private(set) var count = 0

    init() { buckets = Array(repeating: 0, count: 16) }

    private var mask: Int { buckets.count - 1 }

    private static func tag(_ hash: UInt64) -> UInt64 { hash & 0xFFFF_FFFF_0000_0000 }

    @inline(__always)
    private func bucket(of key: CacheKey, _ slots: SlotTable) -> Int? {
        var position = Int(truncatingIfNeeded: key.hash) & mask
        let tag = Self.tag(key.hash)
        while buckets[position] != 0 {
            let bucket = buckets[position]
            if Self.tag(bucket) == tag, slots[UInt32(truncatingIfNeeded: bucket) &- 1].key == key { return position }
            position = (position + 1) & mask
        }
        return nil
    }

    func find(_ key: CacheKey, _ slots: SlotTable) -> UInt32? {
        bucket(of: key, slots).map { UInt32(truncatingIfNeeded: buckets[$0]) &- 1 }
    }

    /// Adds a key that is not there.
    mutating func insert(_ hash: UInt64, _ slot: UInt32, _ slots: SlotTable) {
        if (count + 1) * 4 > buckets.count * 3 { grow(slots) }
        place(hash, slot)
        count += 1
    }

    /// Points a key that is there to another slot.
    mutating func replace(_ key: CacheKey, with slot: UInt32, _ slots: SlotTable) {
        guard let position = bucket(of: key, slots) else { return }
        buckets[position] = Self.tag(key.hash) | UInt64(slot + 1)
    }

    /// Takes a key out, and moves up what was placed behind it for want of room.
    mutating func remove(_ key: CacheKey, _ slots: SlotTable) {
        guard var hole = bucket(of: key, slots) else { return }
        var position = (hole + 1) & mask
        while buckets[position] != 0 {
            let home =
                Int(truncatingIfNeeded: slots[UInt32(truncatingIfNeeded: buckets[position]) &- 1].key.hash) & mask
            if (position - home) & mask >= (position - hole) & mask {
                buckets[hole] = buckets[position]
                hole = position
            }
            position = (position + 1) & mask
        }
        buckets[hole] = 0
        count -= 1
    }

    private mutating func place(_ hash: UInt64, _ slot: UInt32) {
        var position = Int(truncatingIfNeeded: hash) & mask
        while buckets[position] != 0 { position = (position + 1) & mask }
        buckets[position] = Self.tag(hash) | UInt64(slot + 1)
    }

    private mutating func grow(_ slots: SlotTable) {
        let old = buckets
        buckets = Array(repeating: 0, count: old.count * 2)
        for bucket in old where bucket != 0 {
            let slot = UInt32(truncatingIfNeeded: bucket) &- 1
            place(slots[slot].key.hash, slot)
        }
    }
}
