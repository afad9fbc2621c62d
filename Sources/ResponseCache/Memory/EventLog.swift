/// What has happened to a shard lately, so that a reply which was asked for before is not taken for one from after.
///
/// It holds the last ``capacity`` events; a reply that was asked for earlier than that is treated as if all of the
/// forgotten ones had concerned it. What it takes is bounded, about 1 MiB when full, and comes on top of the cache's bytes.
struct EventLog {
    enum Event {
        case invalidated(path: String)
        case forgotten(partition: CachePartition)
        /// By the key's hash: at worst another key's reply is not stored.
        case forgottenKey(hash: UInt64)
        case purged(path: String)
    }

    /// What has become of a reply meanwhile.
    enum Verdict {
        case current
        /// Stored, but not used without validation.
        case invalidated
        /// Not stored.
        case forgotten
    }

    static let capacity = 4096

    /// How many events there have been.
    private(set) var sequence: UInt64 = 0
    private var events: [Event] = []

    mutating func note(_ event: Event) {
        if events.count < Self.capacity {
            events.append(event)
        } else {
            events[Int(sequence % UInt64(Self.capacity))] = event
        }
        sequence += 1
    }

    func verdict(_ key: CacheKey, path: String, since token: FetchToken) -> Verdict {
        let missed = sequence - min(token.sequence, sequence)
        guard missed <= UInt64(events.count) else { return .forgotten }
        var verdict = Verdict.current
        for number in (sequence - missed)..<sequence {
            switch events[Int(number % UInt64(Self.capacity))] {
            case .invalidated(let changed) where InvalidationPath.concerns(changed, path): verdict = .invalidated
            case .forgotten(let partition) where partition == key.partition: return .forgotten
            case .forgottenKey(let forgotten) where forgotten == key.hash: return .forgotten
            case .purged(let purged) where Self.isAtOrBelow(path, purged): return .forgotten
            default: break
            }
        }
        return verdict
    }

    /// The longest path at or above this one that is short enough to be kept: it concerns all that this one does.
    static func bounded(_ path: String) -> String {
        var kept = path
        while kept.utf8.count > maxPathBytes { kept = PathIndex.parent(kept) ?? "/" }
        return kept
    }

    private static let maxPathBytes = 256

    static func isAtOrBelow(_ path: String, _ top: String) -> Bool {
        guard path.utf8.starts(with: top.utf8) else { return false }
        let rest = path.utf8.dropFirst(top.utf8.count)
        return rest.isEmpty || rest.first == UInt8(ascii: "/") || top == "/"
    }
}
