import ResponseCache
import Synchronization

/// The flights under way; the latest for each cache key may be followed by further requests.
final class FlightTable: Sendable {
    /// Each key's flights in the order in which they began: more than one where the first could not be followed.
    private let flights = Mutex<[CacheKey: [Flight]]>([:])

    /// Whether nothing is under way for a key.
    func isIdle(_ key: CacheKey) -> Bool { flights.withLock { $0[key] == nil } }

    /// The flight to follow, or else the one that was given, which is followed from now on.
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

    /// Makes a flight the one that is followed; those before it go on without newcomers.
    func add(_ flight: Flight, _ key: CacheKey) {
        guard !flight.isForOne else { return }
        flights.withLock { $0[key, default: []].append(flight) }
    }

    /// Lets nobody follow any more; to be called before the end is told.
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
