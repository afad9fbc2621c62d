package import DexatelAPI
import Synchronization

/// One API key as the running relay knows it, shared by everybody who uses it.
package final class KnownKey: Sendable {
    /// What the relay calls it.
    package let fingerprint: KeyFingerprint
    /// The key itself, for the upstream only.
    package let secret: Secret

    private struct State {
        var status: Status
        var observers: [UInt64: @Sendable () -> Void] = [:]
        var nextObserver: UInt64 = 0
        /// Observers whose moment has come, and whom nobody has told yet.
        var due: [@Sendable () -> Void] = []
    }

    private let state: Mutex<State>

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
        /// Dead writes of this key.
        var dead = 0
        /// The outbox has the key, sealed.
        var isSealed = false
        /// An operator has replaced the key by another.
        var isReplaced = false
        /// Acknowledged writes wait until the upstream takes the key again.
        var isHeld = false
        /// Pending writes of this key that are held by themselves, or with their contact: they do not wait for the key.
        var held = 0
        /// The commit thread is about to hear that the upstream takes the key.
        var isBeingTaken = false
        /// The log says that writes of the key are held on a 403.
        var isForbiddenTold = false

        /// It counts as one of the keys that have never succeeded upstream (`writes.max_unverified_keys`).
        private(set) var isCounted = false

        /// Counts the key among those of which the outbox has something, or is about to, and that have never succeeded
        /// upstream.
        ///
        /// - Returns: By how many there are more of them now.
        mutating func count() -> Int {
            let counts = !isVerified && (row != nil || uncommitted > 0)
            defer { isCounted = counts }
            return (counts ? 1 : 0) - (isCounted ? 1 : 0)
        }

        /// Writes of this key that are pending or about to be.
        var pending: Int { uncommitted + committed }

        /// What is on its way to the database just now stays counted.
        mutating func take(_ stored: StoredKey) {
            row = stored.row
            isVerified = stored.isVerified
            isRefused = stored.isRefused
            isSealed = stored.sealed != nil
            isReplaced = stored.successor != nil
            isHeld = stored.isHeld && stored.successor == nil
            // What is pending of a key that was replaced is its successor's.
            committed = isReplaced ? 0 : Int(stored.pending)
            dead = isReplaced ? 0 : Int(stored.dead)
            held = isReplaced ? 0 : Int(stored.held)
        }

        /// The outbox knows nothing of the key any more.
        mutating func forget() {
            self = Status(row: nil, uncommitted: uncommitted, isCounted: isCounted)
        }
    }

    init(fingerprint: KeyFingerprint, secret: Secret, status: Status = Status()) {
        self.fingerprint = fingerprint
        self.secret = secret
        state = Mutex(State(status: status))
    }

    /// Whether writes of this key are held because the upstream refused it with 401: new ones get 401 at once (§3.3).
    ///
    /// A refused key is held while acknowledged writes wait for it, for then they find out when it works again. A key that
    /// was replaced is held for good.
    package var isHeld: Bool {
        let current = current
        return current.isReplaced || current.isHeld
    }

    /// Whether the upstream has ever taken it.
    package var isVerified: Bool { current.isVerified }

    /// Dead writes of this key.
    package var deadCount: Int { current.dead }

    /// Writes of this key that are pending, or on their way to the database.
    package var pendingCount: Int { current.pending }

    /// Calls back once, on any thread, when none of this key's writes is pending any more.
    ///
    /// - Returns: A token for ``forgetObserver(_:)``; nil when no write is pending: nobody is called then.
    package func whenNonePending(_ observer: @escaping @Sendable () -> Void) -> UInt64? {
        state.withLock { state in
            guard state.status.pending > 0 else { return nil }
            state.nextObserver += 1
            state.observers[state.nextObserver] = observer
            return state.nextObserver
        }
    }

    /// Takes an observer back who does not care any more; it may be on its way to being called.
    package func forgetObserver(_ token: UInt64) {
        // The closure goes outside of the lock.
        _ = state.withLock { $0.observers.removeValue(forKey: token) }
    }

    var current: Status { state.withLock { $0.status } }

    /// Changes the status; whoever may have made pending writes fewer calls `tellObservers` afterwards, outside of all
    /// locks.
    func update<Result: Sendable>(_ change: (inout sending Status) -> sending Result) -> Result {
        state.withLock { state in
            var status = state.status
            let result = change(&status)
            state.status = status
            if status.pending == 0, !state.observers.isEmpty {
                state.due += state.observers.values
                state.observers = [:]
            }
            return result
        }
    }

    /// Whether this is the first to say that the upstream takes the key, since it was held.
    func beginTaking() -> Bool {
        update { status in
            defer { status.isBeingTaken = true }
            return !status.isBeingTaken
        }
    }

    /// Calls the observers whose moment has come.
    func tellObservers() {
        let due = state.withLock { state in
            defer { state.due = [] }
            return state.due
        }
        for observer in due { observer() }
    }
}
