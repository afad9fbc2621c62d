import DexatelAPI
import NIOCore

/// An attempt that did not end its write, as it is kept.
struct AttemptRecord: Sendable, Equatable {
    /// The write before the attempt: the books count the difference.
    var before: PendingWrite
    /// The write after it.
    var after: PendingWrite
    var lastError: String
    /// The key that the upstream refused with 401, to be remembered over restarts.
    var refusedKey: Int64?

    var sequence: Int64 { after.sequence }
    var contact: ContactReference { after.contact }
}

/// The end of a write, as it is kept.
struct EndRecord: Sendable, Equatable {
    var write: PendingWrite
    var state: WriteState
    var lastError: String?
    var response: StoredReply?
    var supersededBy: Int64?
    /// The key that the upstream took or refused with this reply.
    var keyVerdict: KeyVerdict?
    /// The effective key of the write, which the verdict is about.
    var keyRow: Int64
    /// The writes that it covered, which end as superseded with its delivery (design §3.4).
    var covered: [PendingWrite] = []
    /// Whether it was delivered past earlier writes of its contact, which come under the replay rule with that.
    var passes = false

    var sequence: Int64 { write.sequence }
    var contact: ContactReference { write.contact }

    /// Whether an idempotency key goes on standing for the write: not when its sender saw a refusal that may be another one next
    /// time, so that sending it again is a new write.
    var keepsIdempotency: Bool { state != .rejected || response?.isFinal == true }

    /// What a reply says of the key that it answers.
    enum KeyVerdict: Sendable, Equatable {
        case verified
        case refused
    }
}

/// The part of an upstream's reply that receipts keep.
struct StoredReply: Sendable, Equatable {
    /// Bytes of the body that are kept.
    static let maxBodyBytes = 16 * 1024

    var status: Int
    var body: [UInt8]
    /// Whether the same write would be answered the same again.
    let isFinal: Bool

    init(_ reply: DeliveryReply) {
        status = reply.status
        isFinal = reply.isFinal
        body = Array(reply.body.readableBytesView.prefix(Self.maxBodyBytes))
    }
}
