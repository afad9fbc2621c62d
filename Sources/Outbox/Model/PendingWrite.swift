import DexatelAPI

/// A pending write without its payload.
struct PendingWrite: Sendable, Equatable {
    var id: WriteID
    var contact: ContactReference
    /// The key's row as it is stored; a key that was replaced has a successor that is sent.
    var keyRow: Int64
    var method: WriteMethod
    var storedBytes: Int
    var acceptedClock: RelayTime
    var attempts: Int64 = 0
    var nextAttempt: RelayTime? = nil
    var hold = WriteHold.none
    var replay = WriteReplay.inOrder
    var isAmbiguous = false
    /// What it sets; nil when nobody can say.
    var fields: FieldSet? = nil
    /// When the first refusal without the upstream's error body came, with no other outcome since.
    var notFoundSince: RelayTime? = nil
    var log = AttemptLog()

    var sequence: Int64 { id.sequence }
}
