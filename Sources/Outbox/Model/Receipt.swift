package import DexatelAPI

/// What is known of one write (design §2.1).
package struct Receipt: Sendable, Equatable {
    /// The write's name.
    package var id: WriteID
    /// Where it is.
    package var state: WriteState
    /// PUT or DELETE.
    package var method: WriteMethod
    /// The contact that it writes to.
    package var contact: ContactReference
    /// The fingerprint of the key that made it; any other key gets 404.
    package var keyFingerprint: KeyFingerprint
    /// When it was committed: wall clock, milliseconds since 1970.
    package var acceptedAtMilliseconds: Int64
    /// How often it was sent.
    package var attempts: Int64
    /// When it is sent again at the earliest: wall clock, milliseconds since 1970.
    package var nextAttemptAtMilliseconds: Int64? = nil
    /// What went wrong with the last attempt, in words.
    package var lastError: String? = nil
    /// Whether an attempt ended without anybody knowing whether it took effect (P3).
    package var isAmbiguous: Bool
    /// Why it is held; `.none` when it is not.
    package var hold = WriteHold.none
    /// The last attempts, `AttemptLog.maxEntries` of them at most.
    package var lastAttempts = AttemptLog()
    /// When it ended: wall clock, milliseconds since 1970; nil while it is pending.
    package var endedAtMilliseconds: Int64? = nil
    /// The upstream's status, once there is a final one.
    package var responseStatus: Int? = nil
    /// The upstream's body, cut at `StoredReply.maxBodyBytes`.
    package var responseBody: [UInt8]? = nil
    /// Whether `responseBody` may not be all of it.
    package var isResponseCut: Bool { responseBody.map { $0.count >= StoredReply.maxBodyBytes } ?? false }
    /// The delivered write that covered this one (design §3.4).
    package var supersededBy: WriteID? = nil
}
