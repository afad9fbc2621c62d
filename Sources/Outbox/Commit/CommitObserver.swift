import DexatelAPI

/// Hears what the commit thread did, on the commit thread, and must not block it.
protocol CommitObserver: AnyObject, Sendable {
    /// Of which of these contacts it has to be known what is pending before a new write.
    func needsPredecessor(_ contacts: [ContactReference]) -> [Bool]
    /// A transaction is durable.
    func committed(_ batch: CommittedBatch)
    /// Writes have ended that were in no lane: held ones that grew too old, or that an operator has ended.
    func endedOutOfLane(_ ends: [EndRecord])
    /// Nothing is to be sent, as its outcome could not be recorded; or all may go on.
    func holdDeliveries(_ areHeld: Bool)
    /// A commit has failed: whatever was in it is unknown, and nothing is committed until `reopened`.
    func storageFailed()
    /// The database has been reopened and verified; memory is to be loaded from it again.
    func reopened(_ outbox: OpenedOutbox)
}

/// What one transaction made durable.
struct CommittedBatch: Sendable {
    var accepted: [(write: NewWrite, pending: PendingWrite)] = []
    /// What is pending before those of which it has to be known, by their sequences.
    var predecessors: [Int64: LaneSchedule.Predecessor] = [:]
    var attempts: [AttemptRecord] = []
    var holds: [HoldRecord] = []
    var ends: [EndRecord] = []
}
