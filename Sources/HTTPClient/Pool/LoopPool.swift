import NIOCore
import Synchronization

/// The connections of one origin on one event loop, to which it is confined: executes what ``PoolState`` decides.
final class LoopPool {
    let eventLoop: any EventLoop
    let configuration: OriginConfiguration
    private let load: PoolLoad
    private var state: PoolState<Exchange, ClientConnection>
    /// Everything that has a channel, for the shutdown.
    private var open: [ObjectIdentifier: ClientConnection] = [:]
    private var dialers: [ObjectIdentifier: any ConnectionMaker] = [:]
    private let makeDialer: (LoopPool) -> any ConnectionMaker
    private var running: [ObjectIdentifier: Exchange] = [:]
    private var sweep: Scheduled<Void>?
    /// The exchanges that wait for their time, and the one timer of them all: most end long before, and a timer for each
    /// would cost more than the wait.
    private var armed: [ObjectIdentifier: Exchange] = [:]
    private var timer: (at: NIODeadline, scheduled: Scheduled<Void>)?
    private var isShutDown = false
    /// The look-up of the origin's name that is under way, for all that wait for it.
    private var lookUp: EventLoopFuture<[SocketAddress]>?
    private var whenEmpty: [() -> Void] = []

    init(
        _ configuration: OriginConfiguration,
        places: Int,
        maxWaiting: Int,
        _ eventLoop: any EventLoop,
        _ load: PoolLoad,
        dialer makeDialer: @escaping (LoopPool) -> any ConnectionMaker = { Dialer($0) }
    ) {
        self.makeDialer = makeDialer
        self.configuration = configuration
        self.eventLoop = eventLoop
        self.load = load
        self.state = PoolState(places: places, maxWaiting: maxWaiting)
    }

    /// The loop's time, which is what timers go by.
    var now: NIODeadline { self.eventLoop.now }

    // MARK: - Exchanges

    /// Begins an exchange; its delegate may be called before this returns.
    @discardableResult
    func begin(
        _ request: RenderedRequest,
        _ delegate: any ExchangeDelegate,
        _ patience: Exchange.Patience,
        then: (Exchange) -> Void = { _ in }
    ) -> Exchange {
        let exchange = Exchange(request, delegate, patience, self)
        then(exchange)
        guard !exchange.isOver else { return exchange }
        guard !self.isShutDown else {
            exchange.failedToConnect(.shutdown(mayHaveTakenEffect: false))
            return exchange
        }
        self.load.add(1)
        switch self.state.submit(exchange, request.traffic, now: self.now) {
        case .refused:
            self.load.add(-1)
            exchange.failedToConnect(.crowded)
        case .accepted(let steps):
            exchange.start()
            self.execute(steps)
        }
        return exchange
    }

    /// Takes out an exchange that has no connection yet.
    func withdraw(_ exchange: Exchange) {
        let (isFound, steps) = self.state.withdraw(exchange, exchange.request.traffic, now: self.now)
        if isFound { self.load.add(-1) }
        self.execute(steps)
    }

    /// Takes the end of an exchange that had a connection, and the connection if it may be used again.
    func exchangeEnded(_ exchange: Exchange, _ connection: ClientConnection?) {
        self.running[ObjectIdentifier(exchange)] = nil
        self.load.add(-1)
        let now = self.now
        let expires = connection?.expiry(from: now) ?? now
        self.execute(self.state.ended(exchange.request.traffic, connection, expires: expires, now: now))
    }

    /// Sends a request once more if its stale connection was the only trouble and repeating it is safe (RFC 9110 §9.2.2).
    func retries(_ exchange: Exchange) -> Bool {
        guard exchange.request.isSafe, exchange.request.streaming == .none, !exchange.isRetry, !self.isShutDown else {
            return false
        }
        self.again(exchange)
        return true
    }

    private func again(_ exchange: Exchange) {
        self.running[ObjectIdentifier(exchange)] = nil
        exchange.waitAgain()
        self.execute(self.state.retry(exchange, exchange.request.traffic, now: self.now))
    }

    /// The failure of an exchange that has waited too long.
    func lateness(of exchange: Exchange) -> ExchangeFailure {
        self.state.isQueued(exchange, exchange.request.traffic)
            ? .saturated
            : ExchangeFailure(
                .unreachable,
                "connecting to \(self.configuration.place) took too long",
                mayHaveTakenEffect: false
            )
    }

    // MARK: - Connections

    /// Takes the end of a connection's channel.
    func connectionClosed(_ connection: ClientConnection) {
        self.state.idleClosed(connection)
        self.open[ObjectIdentifier(connection)] = nil
        self.checkEmpty()
    }

    /// Closes the connections that rest, as one of them was stale: what its peer did to it, it has done to others.
    func foundStale() {
        for connection in self.state.distrustIdle() { connection.close() }
    }

    /// The addresses of a host; look-ups that overlap are one, so that a slow resolver keeps one thread only.
    func addresses(of host: String, port: Int) -> EventLoopFuture<[SocketAddress]> {
        if let lookUp { return lookUp }
        let lookUp = AddressResolver.addresses(of: host, port: port, on: self.eventLoop)
        self.lookUp = lookUp
        lookUp.assumeIsolated().whenComplete { [self] _ in self.lookUp = nil }
        return lookUp
    }

    private func dial() {
        let dialer = self.makeDialer(self)
        self.dialers[ObjectIdentifier(dialer)] = dialer
        dialer.start { [self] result in
            self.dialers[ObjectIdentifier(dialer)] = nil
            switch result {
            case .success(let connection):
                self.open[ObjectIdentifier(connection)] = connection
                let now = self.now
                self.execute(self.state.dialed(connection, expires: connection.expiry(from: now), now: now))
            case .failure(let failure):
                self.execute(self.state.dialFailed(now: self.now), failure)
            }
            self.checkEmpty()
        }
    }

    private func execute(_ steps: [PoolState<Exchange, ClientConnection>.Step], _ failure: ExchangeFailure? = nil) {
        for step in steps {
            switch step {
            case .dial: self.dial()
            case .close(let connection): connection.close()
            case .fail(let exchange):
                self.load.add(-1)
                exchange.failedToConnect(failure ?? self.lateness(of: exchange))
            case .run(let exchange, let connection): self.run(exchange, connection)
            }
        }
        self.armSweep()
        if self.isShutDown { self.checkEmpty() }
    }

    private func run(_ exchange: Exchange, _ connection: ClientConnection) {
        if exchange.isOver {
            // It was cancelled by what another one's delegate did in the same turn.
            self.exchangeEnded(exchange, connection.isOpen ? connection : nil)
        } else if connection.isOpen {
            self.running[ObjectIdentifier(exchange)] = exchange
            exchange.run(on: connection)
        } else {
            // Not a byte was sent: this is no second attempt.
            self.again(exchange)
        }
    }

    private func armSweep() {
        guard self.sweep == nil, let due = self.state.nextExpiry else { return }
        self.sweep = self.eventLoop.assumeIsolated().scheduleTask(deadline: due) { [weak self] in
            guard let self else { return }
            self.sweep = nil
            for connection in self.state.expire(now: self.now) { connection.close() }
            self.armSweep()
        }
    }

    // MARK: - Time

    /// Has an exchange told when a moment has come.
    func arm(_ exchange: Exchange, _ deadline: NIODeadline) {
        self.armed[ObjectIdentifier(exchange)] = exchange
        self.setTimer(deadline)
    }

    /// Forgets that an exchange waits for its time.
    func disarm(_ exchange: Exchange) { self.armed[ObjectIdentifier(exchange)] = nil }

    /// Sets the timer, unless it goes off before.
    private func setTimer(_ deadline: NIODeadline) {
        if let timer {
            guard deadline < timer.at else { return }
            timer.scheduled.cancel()
        }
        let scheduled = self.eventLoop.assumeIsolated().scheduleTask(deadline: deadline) { [weak self] () -> Void in
            self?.timerWentOff()
        }
        self.timer = (deadline, scheduled)
    }

    private func timerWentOff() {
        self.timer = nil
        let now = self.now
        for exchange in self.armed.values.filter({ $0.alarm.map { $0 <= now } ?? false }) {
            // What one of them does may have ended another.
            guard self.armed.removeValue(forKey: ObjectIdentifier(exchange)) != nil else { continue }
            exchange.timeIsUp()
        }
        if let next = self.armed.values.lazy.compactMap(\.alarm).min() { self.setTimer(next) }
    }

    // MARK: - The end

    /// Keeps no connection any more; exchanges under way end as they began.
    func retire() {
        for connection in self.state.retire() { connection.close() }
    }

    /// Ends everything, and says when the last connection is closed.
    func shutDown(then: @escaping () -> Void) {
        self.whenEmpty.append(then)
        if !self.isShutDown {
            self.isShutDown = true
            for exchange in self.state.withdrawAll() {
                self.load.add(-1)
                exchange.failedToConnect(.shutdown(mayHaveTakenEffect: false))
            }
            for exchange in Array(self.running.values) { exchange.fail(.shutdown(mayHaveTakenEffect: true)) }
            self.timer.take()?.scheduled.cancel()
            for dialer in Array(self.dialers.values) { dialer.cancel() }
            self.retire()
            for connection in Array(self.open.values) { connection.close() }
        }
        self.checkEmpty()
    }

    private func checkEmpty() {
        guard self.isShutDown, self.open.isEmpty, self.dialers.isEmpty, !self.whenEmpty.isEmpty else { return }
        let callbacks = self.whenEmpty
        self.whenEmpty = []
        for callback in callbacks { callback() }
    }
}

/// How many exchanges a pool has, for choosing one from any thread.
final class PoolLoad: Sendable {
    private let count = Atomic<Int>(0)

    var exchanges: Int { self.count.load(ordering: .relaxed) }

    func add(_ difference: Int) { self.count.wrappingAdd(difference, ordering: .relaxed) }
}
