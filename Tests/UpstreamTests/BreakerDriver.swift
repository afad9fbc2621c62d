import TestSupport
import Upstream

/// A breaker with a clock and a generator that the test turns by hand.
final class BreakerDriver {
    var breaker: CircuitBreaker
    var now = ContinuousClock.now
    var generator: SeededGenerator

    init(_ configuration: BreakerConfiguration = BreakerConfiguration(), seed: UInt64 = 1) {
        self.breaker = CircuitBreaker(configuration: configuration, now: self.now)
        self.generator = SeededGenerator(seed: seed)
    }

    func ask(_ origin: String, _ traffic: Traffic = .read) -> Admission {
        self.breaker.mayStart(origin: OriginKey(origin), traffic: traffic, now: self.now)
    }

    /// The permit, or `nil` if there is none at present.
    func permit(_ origin: String, _ traffic: Traffic = .read) -> Permit? {
        if case .go(let permit) = self.ask(origin, traffic) { permit } else { nil }
    }

    @discardableResult
    func end(_ permit: Permit, _ signal: Signal) -> BreakerTransition? {
        self.breaker.ended(permit, signal, now: self.now, using: &self.generator)
    }

    /// One whole exchange; false if it was not admitted.
    @discardableResult
    func exchange(_ origin: String, _ signal: Signal, _ traffic: Traffic = .read) -> Bool {
        guard let permit = self.permit(origin, traffic) else { return false }
        self.end(permit, signal)
        return true
    }

    /// Whether requests may be worth another try after a connection of the daemon's own.
    func tryConnection(_ stands: Bool) -> Bool { self.breaker.connectionTried(stands, now: self.now) }

    /// Opens the breaker with refused connections.
    func openByRefusal() {
        for _ in 0..<5 { self.exchange("only", .unreachable) }
    }

    /// Opens the breaker with 503s of five origins.
    func openBy503() {
        for index in 0..<5 { self.exchange("origin\(index)", .answered(status: 503)) }
    }

    /// Lets time pass until the open interval is over.
    func passInterval() {
        if case .open(let until) = self.breaker.state { self.now = until }
    }

    var isClosed: Bool { self.breaker.state == .closed }
    var isOpen: Bool { if case .open = self.breaker.state { true } else { false } }
}
