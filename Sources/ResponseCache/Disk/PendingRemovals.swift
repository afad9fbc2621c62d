/// What is to be taken from the disk and is not yet: what concerns it must not be read from there any more.
///
/// None of it is ever given up. Too much of one kind becomes less of a coarser kind: keys become their partitions,
/// partitions and paths become everything.
struct PendingRemovals: Sendable, Equatable {
    static let maxKeys = 4096
    static let maxPartitions = 1024
    static let maxPaths = 64
    static let maxOutdated = 16_384

    /// What is to go of a key: replies that lack what was delivered up to a monotonic moment.
    struct Outdated: Sendable, Equatable {
        var milliseconds: Int64
        var sequence: UInt64
    }

    /// Everything up to this change.
    private(set) var everything: UInt64?
    private(set) var partitions: [CachePartition: UInt64] = [:]
    private(set) var keys: [CacheKey: UInt64] = [:]
    /// Normal paths, each with what is below it.
    private(set) var paths: [String: UInt64] = [:]
    private(set) var outdated: [CacheKey: Outdated] = [:]

    var isEmpty: Bool { !isUrgent && outdated.isEmpty }

    /// Whether there is more than replies that are merely older than what is known.
    var isUrgent: Bool { everything != nil || !partitions.isEmpty || !keys.isEmpty || !paths.isEmpty }

    mutating func forget(_ partition: CachePartition, at sequence: UInt64) {
        partitions[partition] = sequence
        if partitions.count > Self.maxPartitions { removeEverything(at: sequence) }
    }

    mutating func forget(_ key: CacheKey, at sequence: UInt64) {
        keys[key] = sequence
        guard keys.count > Self.maxKeys else { return }
        let latest = max(sequence, keys.values.max() ?? 0)
        let partitions = Set(keys.keys.map(\.partition))
        keys.removeAll()
        for partition in partitions { forget(partition, at: latest) }
    }

    /// Takes away what is stored for a key and lacks what was delivered up to a monotonic moment.
    mutating func forget(_ key: CacheKey, deliveredUpTo milliseconds: Int64, at sequence: UInt64) {
        let known = outdated[key]?.milliseconds ?? .min
        outdated[key] = Outdated(milliseconds: max(known, milliseconds), sequence: sequence)
        guard outdated.count > Self.maxOutdated else { return }
        let latest = max(sequence, outdated.values.map(\.sequence).max() ?? 0)
        let partitions = Set(outdated.keys.map(\.partition))
        outdated.removeAll()
        for partition in partitions { forget(partition, at: latest) }
    }

    mutating func purge(_ path: String, at sequence: UInt64) {
        if path == "/" { return removeEverything(at: sequence) }
        paths[path] = sequence
        if paths.count > Self.maxPaths { removeEverything(at: sequence) }
    }

    mutating func removeEverything(at sequence: UInt64) {
        let known = [
            everything ?? 0, partitions.values.max() ?? 0, keys.values.max() ?? 0, paths.values.max() ?? 0,
            outdated.values.map(\.sequence).max() ?? 0,
        ]
        everything = max(sequence, known.max() ?? 0)
        partitions.removeAll()
        keys.removeAll()
        paths.removeAll()
        outdated.removeAll()
    }

    /// Takes back what could not be done.
    mutating func add(_ other: PendingRemovals) {
        if let sequence = other.everything { removeEverything(at: sequence) }
        for (partition, sequence) in other.partitions {
            forget(partition, at: max(sequence, partitions[partition] ?? 0))
        }
        for (key, sequence) in other.keys { forget(key, at: max(sequence, keys[key] ?? 0)) }
        for (path, sequence) in other.paths { purge(path, at: max(sequence, paths[path] ?? 0)) }
        for (key, gone) in other.outdated {
            forget(key, deliveredUpTo: gone.milliseconds, at: max(gone.sequence, outdated[key]?.sequence ?? 0))
        }
    }

    /// The same removals of all that has a lower number than this.
    func moved(to sequence: UInt64) -> PendingRemovals {
        var moved = self
        moved.everything = everything.map { _ in sequence }
        moved.partitions = partitions.mapValues { _ in sequence }
        moved.keys = keys.mapValues { _ in sequence }
        moved.paths = paths.mapValues { _ in sequence }
        moved.outdated = outdated.mapValues { Outdated(milliseconds: $0.milliseconds, sequence: sequence) }
        return moved
    }

    /// Whether a reply that was stored as this change is to go.
    ///
    /// - Parameter milliseconds: The moment up to which it holds what was delivered.
    func covers(_ key: CacheKey, storedAt sequence: UInt64, heldUpTo milliseconds: Int64) -> Bool {
        if isEmpty { return false }
        if let everything, sequence < everything { return true }
        if let forgotten = partitions[key.partition], sequence < forgotten { return true }
        if let forgotten = keys[key], sequence < forgotten { return true }
        if let gone = outdated[key], sequence < gone.sequence, milliseconds <= gone.milliseconds { return true }
        guard !paths.isEmpty else { return false }
        let path = InvalidationPath.normal(key.target)
        return paths.contains { sequence < $0.value && EventLog.isAtOrBelow(path, $0.key) }
    }
}
