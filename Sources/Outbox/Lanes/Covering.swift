import DexatelAPI

/// Finds the write that stands for those before it in its lane (design §3.4), as the lane is read write by write.
struct Covering: Sendable {
    private let limits: LaneLimits
    /// What has been read of the lane.
    private(set) var writes: [PendingWrite]
    /// The place of the write to send: the last that covers all before it, or the first.
    private(set) var index = 0
    private var run: FieldSet? = .empty
    private var isLastCoverable: Bool

    /// - Parameter isWaitedFor: Whether a sender waits for the first write.
    init(_ first: PendingWrite, isWaitedFor: Bool, limits: LaneLimits) {
        self.limits = limits
        writes = [first]
        isLastCoverable = limits.supersedes && Self.mayBeCovered(first, isWaitedFor)
    }

    /// Whether a further write of the lane could cover those that were read.
    var wantsMore: Bool { isLastCoverable && writes.count <= limits.maxCovered }

    /// Takes the next write of the lane, which has the same key.
    mutating func add(_ write: PendingWrite, isWaitedFor: Bool) {
        guard wantsMore, let last = writes.last else { return }
        run = last.fields.flatMap { run?.union($0) }
        writes.append(write)
        if covers(write) { index = writes.count - 1 }
        isLastCoverable = Self.mayBeCovered(write, isWaitedFor)
    }

    private static func mayBeCovered(_ write: PendingWrite, _ isWaitedFor: Bool) -> Bool {
        write.method == .put && !write.isAmbiguous && !isWaitedFor
    }

    private func covers(_ write: PendingWrite) -> Bool {
        // What came back is judged by itself: a part of it may be what is sent.
        guard let fields = write.fields, write.replay != .underRule else { return false }
        if write.method == .delete { return true }
        guard let run else { return false }
        return limits.putSemantics == .replace || fields.isSuperset(of: run)
    }
}
