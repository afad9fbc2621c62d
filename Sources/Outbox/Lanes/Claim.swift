import DexatelAPI

/// A write whose lane's turn has come, with all that is needed to send it.
struct Claim: Sendable {
    var write: PendingWrite
    var payload: WritePayload
    /// The key that it is sent with: that of the write, or its successor.
    var key: KnownKey
    /// The row of that key.
    var keyRow: Int64
    /// Earlier writes of the lane that it covers (design §3.4).
    var covered: [PendingWrite] = []
    /// Whether earlier writes of the contact wait for their held key: once it is delivered, they come under the replay rule.
    var passes = false
    /// Which opening of the database it comes from: after a failure nothing is known of it.
    var opening = 0

    var contact: ContactReference { write.contact }
    var sequence: Int64 { write.sequence }
}

/// An attempt that has ended.
struct AttemptOutcome: Sendable {
    var claim: Claim
    var outcome: DeliveryOutcome
    var timing: Timing

    /// When an attempt began, and how long it took, for the receipt.
    struct Timing: Sendable {
        var startedAtWallMilliseconds: Int64 = 0
        var durationMilliseconds: Int64 = 0
    }
}

/// A sender that waits for the upstream's own reply.
struct Waiter: Sendable {
    var id: WriteID
    var contact: ContactReference
    /// The row of the key that the write is sent with.
    var keyRow: Int64
    var sink: any WriteAnswerSink
    var token: UInt64
    var deadline: RelayTime

    /// The answer that the sender need not wait any longer for: 202.
    var accepted: SenderAnswer { SenderAnswer(waiter: self, answer: .accepted(id)) }
}

/// An answer for a sender that has waited.
struct SenderAnswer: Sendable {
    var waiter: Waiter
    var answer: WriteAnswer
}
