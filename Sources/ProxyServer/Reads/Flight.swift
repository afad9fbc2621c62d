import DexatelAPI
import NIOHTTP1
import ResponseCache
import Synchronization
import Upstream

/// What became of a fetch that requests were waiting for.
enum FlightOutcome: Sendable {
    /// A reply that may be given to each of them.
    case reply(FetchedReply)
    /// There was none.
    case failed(UpstreamFailure)
    /// There was one that is not for sharing: whoever waited has to ask for its own.
    case notShared
}

extension FlightOutcome {
    /// The outcome for the client whose request has brought it about.
    func with(cookiesOf headers: HTTPHeaders) -> FlightOutcome {
        guard case .reply(var reply) = self else { return self }
        reply.cookies = headers.filter { $0.name.isASCII("set-cookie") || $0.name.isASCII("set-cookie2") }
        return .reply(reply)
    }
}

/// A reply as it was fetched.
struct FetchedReply: Sendable {
    var response: StoredResponse
    /// What the upstream said: 304 where it confirmed what was stored.
    var upstreamStatus: Int
    var isStored = false
    /// Why it was not stored.
    var detail: String?
    /// The lines of the upstream's `Age`: the reply was not made just now.
    var age: [String] = []
    /// `Set-Cookie`, for the client alone whose request has fetched it (RFC 9111 §7.3).
    var cookies: [(name: String, value: String)] = []
    /// How the upstream has failed, if it has: a stale reply may be served in its place (RFC 5861 §4).
    var failure: Failure?

    /// A failure of the upstream's.
    struct Failure: Sendable {
        /// Whether it says that the request was not served at all, as if the upstream could not be reached.
        var isUnserved: Bool
    }
}

/// One request to the upstream, and everybody who waits for what it brings.
///
/// No waiting client's hang-up cancels it.
final class Flight: Sendable {
    /// When it began, on the cache's count of what happens to a key.
    let token: FetchToken

    private struct State {
        var isOver = false
        var nextToken: UInt64 = 0
        var waiters: [UInt64: @Sendable (FlightOutcome) -> Void] = [:]
    }

    private let state = Mutex(State())
    private let sent = Mutex(Sent())
    /// The latest of the requests that were sent after this one's, or may have been, and whose replies are stored.
    private let overtakenBy = Atomic<UInt64>(0)
    private let queued: Atomic<Bool>
    /// Whether its reply is for the one request alone that has brought it about; the table does not know it then.
    fileprivate let isForOne: Bool

    /// - Parameters:
    ///   - isQueued: Whether it has not begun: nobody joins it until then.
    ///   - isForOne: Whether its reply will not be stored, so that nobody is to wait for it.
    init(token: FetchToken, isQueued: Bool = false, isForOne: Bool = false) {
        self.token = token
        self.isForOne = isForOne
        queued = Atomic(isQueued)
    }

    fileprivate var isQueued: Bool { queued.load(ordering: .acquiring) }

    fileprivate func begin() { queued.store(false, ordering: .releasing) }

    /// When the request went out last.
    private struct Sent {
        /// Its place among all requests that were sent; 0 until it is.
        var order: UInt64 = 0
        var milliseconds: Int64 = 0
    }

    private static let sends = Atomic<UInt64>(0)

    /// Notes that the request goes out: what its reply knows depends on that moment, not on when it was asked for.
    func noteSent(_ milliseconds: Int64) {
        let order = Self.sends.add(1, ordering: .relaxed).newValue
        sent.withLock { $0 = Sent(order: order, milliseconds: milliseconds) }
    }

    /// When the request went out last, on the reads' clock.
    var sentMilliseconds: Int64 { sent.withLock { $0.milliseconds } }

    private var sentOrder: UInt64 { sent.withLock { $0.order } }

    /// Whether the reply to a request that was sent later has been stored: this one's is older, and not to be stored any more.
    var isOvertaken: Bool { overtakenBy.load(ordering: .acquiring) > sentOrder }

    fileprivate func overtake(by other: Flight) { overtakenBy.max(other.sentOrder, ordering: .acquiringAndReleasing) }

    /// Waits for the end.
    ///
    /// - Returns: A token for ``leave(_:)``; nil when the flight is over: nobody is called then.
    func wait(_ waiter: @escaping @Sendable (FlightOutcome) -> Void) -> UInt64? {
        state.withLock { state in
            guard !state.isOver else { return nil }
            state.nextToken += 1
            state.waiters[state.nextToken] = waiter
            return state.nextToken
        }
    }

    /// Does not wait any longer; the call may be on its way.
    func leave(_ token: UInt64) {
        // The closure goes outside of the lock.
        _ = state.withLock { $0.waiters.removeValue(forKey: token) }
    }

    /// Tells everybody who waits, once.
    func end(_ outcome: FlightOutcome) {
        let waiters = state.withLock { state in
            state.isOver = true
            defer { state.waiters = [:] }
            return state.waiters.values
        }
        for waiter in waiters { waiter(outcome) }
    }
}

/// The flights under way; the latest for each cache key may be joined by further requests.
final class FlightTable: Sendable {
    /// Each key's flights in the order in which they began: more than one where the first could not be joined.
    private let flights = Mutex<[CacheKey: [Flight]]>([:])

    /// Whether nothing is under way for a key.
    func isIdle(_ key: CacheKey) -> Bool { flights.withLock { $0[key] == nil } }

    /// The flight to join, or else the one that was given, which is joined from now on.
    ///
    /// - Parameter canJoin: Whether a flight's reply is new enough; called with the table locked.
    func join(_ key: CacheKey, canJoin: (Flight) -> Bool, orBegin own: Flight) -> Flight {
        flights.withLock { flights in
            if let latest = flights[key]?.last, !latest.isQueued, canJoin(latest) { return latest }
            if !own.isForOne { flights[key, default: []].append(own) }
            return own
        }
    }

    /// Adds a flight unless there is one already; says whether it did.
    func addIfIdle(_ flight: Flight, _ key: CacheKey) -> Bool {
        flights.withLock { flights in
            guard flights[key] == nil else { return false }
            flights[key] = [flight]
            return true
        }
    }

    /// Begins a flight that was queued, unless another one has begun meanwhile; says whether it did.
    func dequeue(_ flight: Flight, _ key: CacheKey) -> Bool {
        flights.withLock { flights in
            guard flights[key]?.last === flight else { return false }
            flight.begin()
            return true
        }
    }

    /// Makes a flight the one that is joined; those before it go on without newcomers.
    func add(_ flight: Flight, _ key: CacheKey) {
        guard !flight.isForOne else { return }
        flights.withLock { $0[key, default: []].append(flight) }
    }

    /// Lets nobody join any more; to be called before the end is told.
    func remove(_ flight: Flight, _ key: CacheKey) {
        flights.withLock { flights in
            guard var under = flights[key] else { return }
            under.removeAll { $0 === flight }
            flights[key] = under.isEmpty ? nil : under
        }
    }

    /// Notes that a flight's reply is stored: those whose requests were sent before its own bring something older.
    func noteStored(_ flight: Flight, _ key: CacheKey) {
        flights.withLock { flights in
            for other in flights[key] ?? [] where other !== flight { other.overtake(by: flight) }
        }
    }
}
