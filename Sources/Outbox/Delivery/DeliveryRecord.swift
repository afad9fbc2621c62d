import DexatelAPI
import NIOCore

/// An attempt that did not end its write, as it is kept.
struct AttemptRecord: Sendable, Equatable {
    var sequence: Int64
    var contact: ContactReference
    /// How often the write was sent by now.
    var attempts: Int64
    var nextAttempt: RelayTime
    var isHeld: Bool
    /// Whether the write was held before this attempt; the books count the difference.
    var wasHeld: Bool
    var isAmbiguous: Bool
    var lastError: String
    /// The key that the upstream refused with 401, to be remembered over restarts.
    var refusedKey: Int64?
}

/// The end of a write, as it is kept.
struct EndRecord: Sendable, Equatable {
    var sequence: Int64
    var contact: ContactReference
    var state: WriteState
    var attempts: Int64
    var isAmbiguous: Bool
    var lastError: String?
    var response: StoredReply?
    var supersededBy: Int64?
    var keyRow: Int64
    var storedBytes: Int
    var wasHeld: Bool
    /// The key that the upstream took or refused with this reply.
    var keyVerdict: KeyVerdict?

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

    init(_ reply: DeliveryReply) {
        status = reply.status
        body = Array(reply.body.readableBytesView.prefix(Self.maxBodyBytes))
    }
}
