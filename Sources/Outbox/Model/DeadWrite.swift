package import DexatelAPI

/// A write that was refused, or grew too old, after its sender had a 202 (design §3.5).
package struct DeadWrite: Sendable, Equatable {
    /// The write's name.
    package var id: WriteID
    /// The contact that it writes to.
    package var contact: ContactReference
    /// The fingerprint of its key, in text.
    package var keyFingerprint: String
    /// PUT or DELETE.
    package var method: WriteMethod
    /// What ended it, in words: `status 422`, `expired: …`.
    package var reason: String
    /// The upstream's status, if it has answered.
    package var status: Int?
    /// The body of the upstream's reply, cut at `StoredReply.maxBodyBytes`.
    package var body: [UInt8]?
    /// How often it was sent.
    package var attempts: Int64
    /// Whether an attempt ended without anybody knowing whether it took effect (P3).
    package var isAmbiguous: Bool
    /// When it was committed: wall clock, milliseconds since 1970.
    package var acceptedAtMilliseconds: Int64
    /// When it died: wall clock, milliseconds since 1970.
    package var endedAtMilliseconds: Int64
    /// How often telling it has failed.
    package var tellAttempts: Int64 = 0

    /// A name for this death: the same however often it is told, and another one when the write was retried and has died
    /// again.
    package var deathID: String { "\(id)-\(endedAtMilliseconds)" }

    var death: OutboxTransaction.Death {
        OutboxTransaction.Death(sequence: id.sequence, endedAtMilliseconds: endedAtMilliseconds)
    }
}
