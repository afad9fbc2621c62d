import NIOCore

/// Which request gets which connection: pure, without I/O or clock.
///
/// A place is a request's leave to have a connection; an idle connection, one that another request has left, or a new
/// one serves it. There are never more connections than places, those being made included.
struct PoolState<Request: AnyObject, Connection: AnyObject> {
    /// What is to be done.
    enum Step {
        /// Send this request on this connection.
        case run(Request, Connection)
        /// Make a connection and report it with ``PoolState/dialed(_:now:)`` or ``PoolState/dialFailed()``.
        case dial
        /// End this request, which has no place, with the failure of the connection that was made for it.
        case fail(Request)
        /// Close this connection, which nobody uses.
        case close(Connection)
    }

    /// The answer to a new request.
    enum Submission {
        case accepted([Step])
        /// Too many of its class wait already.
        case refused
    }

    private struct Idle {
        let connection: Connection
        let expires: NIODeadline
    }

    private struct Waiter {
        let request: Request
        let traffic: TrafficClass
        /// Whether only a connection that was never used will do.
        let needsFresh: Bool
    }

    private let maxWaiting: Int
    private var shares: PoolShares
    /// The one that rested last is used first, so that the others get old and go.
    private var idle: [Idle] = []
    /// Requests with a place, waiting for a connection.
    private var connecting = CircularBuffer<Waiter>()
    /// Requests without a place, by class.
    private var queues: [CircularBuffer<Request>]
    /// The class that gets the next free place first.
    private var turn = 0
    private var dials = 0
    private var isRetired = false

    init(places: Int, maxWaiting: Int) {
        self.shares = PoolShares(places: places)
        self.maxWaiting = maxWaiting
        self.queues = TrafficClass.allCases.map { _ in CircularBuffer() }
    }

    /// Whether nothing is under way and nothing rests.
    var isEmpty: Bool {
        self.idle.isEmpty && self.dials == 0 && self.shares.takenPlaces == 0 && self.queues.allSatisfy(\.isEmpty)
    }

    /// When the connection that rests longest expires.
    var nextExpiry: NIODeadline? { self.idle.lazy.map(\.expires).min() }

    /// The idle connections, oldest first.
    var idleConnections: [Connection] { self.idle.map(\.connection) }

    // MARK: - Requests

    /// Takes a new request.
    mutating func submit(_ request: Request, _ traffic: TrafficClass, now: NIODeadline) -> Submission {
        guard self.shares.admits(traffic) else {
            guard self.queues[traffic.rawValue].count < self.maxWaiting else { return .refused }
            self.queues[traffic.rawValue].append(request)
            return .accepted([])
        }
        self.shares.take(traffic)
        var steps: [Step] = []
        self.connect(Waiter(request: request, traffic: traffic, needsFresh: false), now, &steps)
        self.assertInvariants()
        return .accepted(steps)
    }

    /// Sends a request, which keeps its place, again on a fresh connection, as the one that it had was stale.
    mutating func retry(_ request: Request, _ traffic: TrafficClass, now: NIODeadline) -> [Step] {
        var steps: [Step] = []
        self.connect(Waiter(request: request, traffic: traffic, needsFresh: true), now, &steps)
        self.assertInvariants()
        return steps
    }

    /// Takes a request out that has no connection yet; false if it is not here.
    mutating func withdraw(_ request: Request, _ traffic: TrafficClass, now: NIODeadline) -> (Bool, [Step]) {
        if let index = self.queues[traffic.rawValue].firstIndex(where: { $0 === request }) {
            self.queues[traffic.rawValue].remove(at: index)
            return (true, [])
        }
        guard let index = self.connecting.firstIndex(where: { $0.request === request }) else { return (false, []) }
        self.connecting.remove(at: index)
        self.shares.giveBack(traffic)
        var steps: [Step] = []
        self.admitWaiting(now, &steps)
        self.assertInvariants()
        return (true, steps)
    }

    /// Whether a request waits for a place, and not merely for its connection.
    func isQueued(_ request: Request, _ traffic: TrafficClass) -> Bool {
        self.queues[traffic.rawValue].contains { $0 === request }
    }

    // MARK: - Connections

    /// Takes the end of an exchange.
    ///
    /// - Parameter connection: The connection, if it may be used again until `expires`.
    mutating func ended(
        _ traffic: TrafficClass,
        _ connection: Connection?,
        expires: NIODeadline,
        now: NIODeadline
    ) -> [Step] {
        self.shares.giveBack(traffic)
        var steps: [Step] = []
        if let connection { self.offer(connection, expires: expires, now, &steps) }
        self.admitWaiting(now, &steps)
        self.assertInvariants()
        return steps
    }

    /// Takes a connection that was made.
    mutating func dialed(_ connection: Connection, expires: NIODeadline, now: NIODeadline) -> [Step] {
        self.dials -= 1
        var steps: [Step] = []
        if let waiter = self.connecting.popFirst() {
            steps.append(.run(waiter.request, connection))
        } else if self.isRetired {
            steps.append(.close(connection))
        } else {
            self.idle.append(Idle(connection: connection, expires: expires))
        }
        self.assertInvariants()
        return steps
    }

    /// Takes the news that a connection could not be made.
    mutating func dialFailed(now: NIODeadline) -> [Step] {
        self.dials -= 1
        var steps: [Step] = []
        // Others may have left their connections meanwhile, so that this one was not needed.
        if self.connecting.count > self.dials, let waiter = self.connecting.popFirst() {
            self.shares.giveBack(waiter.traffic)
            steps.append(.fail(waiter.request))
            self.admitWaiting(now, &steps)
        }
        self.assertInvariants()
        return steps
    }

    /// Forgets an idle connection that was closed by its peer.
    mutating func idleClosed(_ connection: Connection) {
        self.idle.removeAll { $0.connection === connection }
    }

    /// Takes out the connections that have rested long enough.
    mutating func expire(now: NIODeadline) -> [Connection] {
        let expired = self.idle.filter { $0.expires <= now }.map(\.connection)
        self.idle.removeAll { $0.expires <= now }
        return expired
    }

    /// Hands out the idle connections, as one that had rested among them was stale.
    mutating func distrustIdle() -> [Connection] {
        defer { self.idle = [] }
        return self.idle.map(\.connection)
    }

    /// Keeps no connection from now on, and hands out those that are idle.
    mutating func retire() -> [Connection] {
        self.isRetired = true
        return self.distrustIdle()
    }

    /// Takes out everything that waits.
    mutating func withdrawAll() -> [Request] {
        let waiting = self.connecting.map(\.request) + self.queues.flatMap { $0 }
        for waiter in self.connecting { self.shares.giveBack(waiter.traffic) }
        self.connecting.removeAll()
        for index in self.queues.indices { self.queues[index].removeAll() }
        return waiting
    }

    // MARK: - Decisions

    private mutating func connect(_ waiter: Waiter, _ now: NIODeadline, _ steps: inout [Step]) {
        while !waiter.needsFresh, let idle = self.idle.popLast() {
            guard idle.expires > now else {
                steps.append(.close(idle.connection))
                continue
            }
            steps.append(.run(waiter.request, idle.connection))
            return
        }
        self.connecting.append(waiter)
        if self.dials < self.connecting.count {
            self.dials += 1
            steps.append(.dial)
        }
    }

    /// Gives a connection that is free now to whoever waits for one, or lets it rest.
    private mutating func offer(
        _ connection: Connection,
        expires: NIODeadline,
        _ now: NIODeadline,
        _ steps: inout [Step]
    ) {
        guard expires > now else {
            steps.append(.close(connection))
            return
        }
        if let index = self.connecting.firstIndex(where: { !$0.needsFresh }) {
            let waiter = self.connecting.remove(at: index)
            steps.append(.run(waiter.request, connection))
        } else if self.isRetired {
            steps.append(.close(connection))
        } else {
            self.idle.append(Idle(connection: connection, expires: expires))
        }
    }

    /// Gives free places to requests that wait: the classes in turns, each in the order of its requests' coming.
    private mutating func admitWaiting(_ now: NIODeadline, _ steps: inout [Step]) {
        while let traffic = self.nextWaitingClass() {
            self.turn = (traffic.rawValue + 1) % self.queues.count
            self.shares.take(traffic)
            let request = self.queues[traffic.rawValue].removeFirst()
            self.connect(Waiter(request: request, traffic: traffic, needsFresh: false), now, &steps)
        }
    }

    private func nextWaitingClass() -> TrafficClass? {
        for offset in self.queues.indices {
            let index = (self.turn + offset) % self.queues.count
            guard !self.queues[index].isEmpty, let traffic = TrafficClass(rawValue: index) else { continue }
            if self.shares.admits(traffic) { return traffic }
        }
        return nil
    }

    private func assertInvariants() {
        assert(self.dials >= self.connecting.count)
        // Every connection but a surplus one belongs to a place.
        assert(self.shares.takenPlaces - self.connecting.count + self.dials + self.idle.count <= self.shares.places)
    }
}
