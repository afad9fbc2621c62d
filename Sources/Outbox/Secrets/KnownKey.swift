package import DexatelAPI
import Synchronization

/// One API key as the running relay knows it, shared by everybody who uses it.
package final class KnownKey: Sendable {
    /// What the relay calls it.
    package let fingerprint: KeyFingerprint
    /// The key itself, for the upstream only.
    package let secret: Secret

    private let status: Mutex<Status>

    /// What the upstream thinks of the key, as far as the relay has seen.
    struct Status: Sendable, Equatable {
        /// The key's row, once there is one.
        var row: Int64?
        /// The upstream took a write with it.
        var isVerified = false
        /// The upstream refused it with 401, and has not taken it since.
        var isRefused = false
        /// Writes of this key that are on their way to the database.
        var uncommitted = 0
        /// Writes of this key that are in the database and have not ended.
        var committed = 0

        /// Writes of this key that are pending or about to be.
        var pending: Int { uncommitted + committed }
    }

    init(fingerprint: KeyFingerprint, secret: Secret, status: Status = Status()) {
        self.fingerprint = fingerprint
        self.secret = secret
        self.status = Mutex(status)
    }

    /// Whether writes of this key are held because the upstream refused it with 401: new ones get 401 at once (§3.3).
    ///
    /// A refused key without pending writes is not held: nothing would ever find out that it works again.
    package var isHeld: Bool {
        let current = current
        return current.isRefused && current.pending > 0
    }

    var current: Status { status.withLock { $0 } }

    func update<Result: Sendable>(_ change: (inout sending Status) -> sending Result) -> Result {
        status.withLock(change)
    }
}
