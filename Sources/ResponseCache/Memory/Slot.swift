/// A place for one stored reply, linked into the lists that find it.
struct Slot {
    /// The lists that a slot can be in.
    enum ListKind: Int, CaseIterable {
        /// All of a shard, newest first (SIEVE).
        case queue
        /// Those with the same normal path.
        case path
        /// Those of one partition.
        case partition
    }

    struct Failure {
        var untilMilliseconds: Int64
        var episode: UInt64
    }

    struct Link {
        var previous = SlotTable.none
        var next = SlotTable.none
    }

    // What a hit looks at comes first, to lie in as few cache lines as possible.

    var key: CacheKey
    /// Nil while the slot is free.
    var response: StoredResponse?
    /// The next reply to the same key with other `Vary` values; the next free slot while free.
    var nextVariant = SlotTable.none
    /// Hit since SIEVE's hand last passed.
    var isVisited = false
    var isInvalidated = false
    var pathNode = PathIndex.none
    var costBytes: Int
    /// That the upstream has just failed to confirm it (``MemoryCache/noteFailure(_:_:episode:nowMilliseconds:)``).
    var failure: Failure?
    var links = InlineArray<3, Link>(repeating: Link())
}

/// A doubly linked list of slots.
struct SlotList {
    var first = SlotTable.none
    var last = SlotTable.none
    var isEmpty: Bool { first == SlotTable.none }
}

/// The slots of a shard in one array: links are indices, so that following and changing them costs no reference counts.
struct SlotTable {
    static let none = UInt32.max

    private(set) var slots: [Slot] = []
    private var firstFree = SlotTable.none

    subscript(_ index: UInt32) -> Slot {
        _read { yield slots[Int(index)] }
        _modify { yield &slots[Int(index)] }
    }

    mutating func add(_ slot: Slot) -> UInt32 {
        guard firstFree != Self.none else {
            slots.append(slot)
            return UInt32(slots.count - 1)
        }
        let index = firstFree
        firstFree = self[index].nextVariant
        self[index] = slot
        return index
    }

    mutating func free(_ index: UInt32) {
        self[index].response = nil
        self[index].key = Self.noKey
        self[index].nextVariant = firstFree
        firstFree = index
    }

    /// Puts a slot at the front of a list.
    mutating func link(_ index: UInt32, into list: inout SlotList, _ kind: Slot.ListKind) {
        self[index].links[kind.rawValue] = Slot.Link(previous: Self.none, next: list.first)
        if list.first == Self.none { list.last = index } else { self[list.first].links[kind.rawValue].previous = index }
        list.first = index
    }

    mutating func unlink(_ index: UInt32, from list: inout SlotList, _ kind: Slot.ListKind) {
        let link = self[index].links[kind.rawValue]
        if link.previous == Self.none {
            list.first = link.next
        } else {
            self[link.previous].links[kind.rawValue].next = link.next
        }
        if link.next == Self.none {
            list.last = link.previous
        } else {
            self[link.next].links[kind.rawValue].previous = link.previous
        }
    }

    func previous(_ index: UInt32, _ kind: Slot.ListKind) -> UInt32 { self[index].links[kind.rawValue].previous }

    func next(_ index: UInt32, _ kind: Slot.ListKind) -> UInt32 { self[index].links[kind.rawValue].next }

    private static let noKey = CacheKey(partition: .shared, target: "")
}
