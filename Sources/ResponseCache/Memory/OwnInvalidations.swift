/// Which paths the accepted writes of single keys have invalidated for that key alone, for replies that are on their way.
///
/// Bounded by partition: what one key writes leaves the replies of all others alone, however much it is.
struct OwnInvalidations {
    /// How many partitions are told apart; beyond, what was asked for before counts as invalidated for all.
    static let maxPartitions = 1024
    /// How many paths of a partition are told apart; beyond, what that partition asked for before counts as invalidated.
    static let maxPaths = 256

    /// How many invalidations there have been, and one.
    private(set) var sequence: UInt64 = 1
    private var marks: [CachePartition: InvalidationMarks] = [:]
    private var floor: UInt64 = 0

    /// Notes that a path is invalidated for a partition, with those above and below.
    mutating func invalidate(_ partition: CachePartition, path: String) {
        sequence += 1
        if marks[partition] == nil, marks.count >= Self.maxPartitions {
            marks.removeAll(keepingCapacity: true)
            floor = sequence
        }
        marks[partition, default: InvalidationMarks(maxPaths: Self.maxPaths)].invalidate(PathHashes(path), at: sequence)
    }

    /// Forgets a partition: what it had asked for is not stored any more.
    mutating func forget(_ partition: CachePartition) { marks[partition] = nil }

    /// Whether something of a partition's own concerns a reply that was asked for at a moment.
    func concern(_ partition: CachePartition, path: String, since sequence: UInt64) -> Bool {
        if sequence < floor { return true }
        return marks[partition]?.isInDoubt(PathHashes(path), storedAt: sequence) ?? false
    }
}
