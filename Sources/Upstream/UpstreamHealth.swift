package import Logging
import Synchronization

/// The one circuit breaker of the daemon, shared by deliveries, reads and pass-through.
package final class UpstreamHealth: Sendable {
    private struct Shared {
        var breaker: CircuitBreaker
        var revision: UInt64 = 0
        var transitions = BreakerTransitions()
        var lastError: String?
        var observer: (@Sendable (HealthSnapshot) -> Void)?
        var retryObserver: (@Sendable () -> Void)?
    }

    private let shared: Mutex<Shared>
    private let logger: Logger
    private let now: @Sendable () -> ContinuousClock.Instant
    private let unixMilliseconds: @Sendable () -> Int64

    /// Makes a breaker that is closed.
    ///
    /// - Parameters:
    ///   - configuration: The numbers of design §4.
    ///   - logger: Gets one line for each time that the upstream goes or comes back.
    ///   - now: The monotonic clock.
    ///   - unixMilliseconds: The wall clock, used for display alone.
    package init(
        configuration: BreakerConfiguration,
        logger: Logger,
        now: @escaping @Sendable () -> ContinuousClock.Instant = { .now },
        unixMilliseconds: @escaping @Sendable () -> Int64 = { WallClock.unixMilliseconds() }
    ) {
        self.shared = Mutex(Shared(breaker: CircuitBreaker(configuration: configuration, now: now())))
        self.logger = logger
        self.now = now
        self.unixMilliseconds = unixMilliseconds
    }

    /// Asks for leave to send a request; every permit must come back through ``ended(_:_:error:)``.
    package func mayStart(origin: OriginKey, traffic: Traffic) -> Admission {
        let now = self.now()
        let (admission, change) = self.shared.withLock { shared in
            let before = shared.breaker.state
            let admission = shared.breaker.mayStart(origin: origin, traffic: traffic, now: now)
            return (
                admission, self.noteChange(in: &shared, from: before, wasReachable: shared.breaker.isReachable, now)
            )
        }
        self.announce(change)
        return admission
    }

    /// Takes a permit back together with what the request taught.
    ///
    /// - Parameters:
    ///   - permit: The permit; handing it back twice does no harm.
    ///   - signal: What the request taught.
    ///   - error: The failure in words, without secrets, for the status page.
    package func ended(_ permit: Permit, _ signal: Signal, error: String? = nil) {
        let now = self.now()
        let change = self.shared.withLock { shared in
            var generator = SystemRandomNumberGenerator()
            let before = shared.breaker.state
            let wasReachable = shared.breaker.isReachable
            shared.breaker.ended(permit, signal, now: now, using: &generator)
            if let error { shared.lastError = error }
            return self.noteChange(in: &shared, from: before, wasReachable: wasReachable, now)
        }
        self.announce(change)
    }

    /// Takes the outcome of a connection of the daemon's own: nil if it stood, else why not, in words.
    package func connectionTried(_ error: String?) {
        let now = self.now()
        let (change, observer) = self.shared.withLock { shared in
            let before = shared.breaker.state
            let wasReachable = shared.breaker.isReachable
            let isWorthATry = shared.breaker.connectionTried(error == nil, now: now)
            if let error { shared.lastError = error }
            return (
                self.noteChange(in: &shared, from: before, wasReachable: wasReachable, now),
                isWorthATry ? shared.retryObserver : nil
            )
        }
        self.announce(change)
        observer?()
    }

    /// Sets what is called, never under a lock, when requests that were refused may be worth another try.
    package func setRetryObserver(_ observer: @escaping @Sendable () -> Void) {
        self.shared.withLock { $0.retryObserver = observer }
    }

    /// Takes another interval between the daemon's own connections.
    package func setProbeInterval(_ interval: Duration) {
        self.shared.withLock { $0.breaker.setProbeInterval(interval) }
    }

    /// The health at this moment.
    package func snapshot() -> HealthSnapshot {
        let now = self.now()
        return self.shared.withLock { self.snapshot(of: $0, now) }
    }

    /// Sets the one observer, which is called after every change of state or reachability, never under a lock.
    ///
    /// Calls may overtake each other: ``HealthSnapshot/revision`` tells which one is newer.
    package func setObserver(_ observer: @escaping @Sendable (HealthSnapshot) -> Void) {
        self.shared.withLock { $0.observer = observer }
    }

    /// Takes another limit of concurrent deliveries.
    package func setMaxConcurrentDeliveries(_ limit: Int) {
        self.shared.withLock { $0.breaker.setMaxConcurrentDeliveries(limit) }
    }

    /// Forgets what is known of the upstream, which is another one now.
    package func replaceUpstream() {
        let now = self.now()
        let change = self.shared.withLock { shared in
            let before = shared.breaker.state
            let wasReachable = shared.breaker.isReachable
            shared.breaker.replaceUpstream(now: now)
            shared.lastError = nil
            return self.noteChange(in: &shared, from: before, wasReachable: wasReachable, now)
        }
        self.announce(change)
    }

    private struct Change {
        let from: BreakerState
        let to: BreakerState
        let snapshot: HealthSnapshot
        let observer: (@Sendable (HealthSnapshot) -> Void)?
    }

    private func noteChange(
        in shared: inout Shared,
        from before: BreakerState,
        wasReachable: Bool,
        _ now: ContinuousClock.Instant
    ) -> Change? {
        guard shared.breaker.state != before || shared.breaker.isReachable != wasReachable else { return nil }
        shared.revision += 1
        if shared.breaker.state.name != before.name { shared.transitions.count(to: shared.breaker.state) }
        return Change(
            from: before,
            to: shared.breaker.state,
            snapshot: self.snapshot(of: shared, now),
            observer: shared.observer
        )
    }

    private func snapshot(of shared: Shared, _ now: ContinuousClock.Instant) -> HealthSnapshot {
        var nextProbe: Int64?
        if case .open(let until) = shared.breaker.state {
            nextProbe = max(0, now.duration(to: until).wholeMilliseconds)
        }
        return HealthSnapshot(
            revision: shared.revision,
            state: shared.breaker.state.name,
            isReachable: shared.breaker.isReachable,
            sinceUnixMilliseconds: self.unixMilliseconds()
                - shared.breaker.since.duration(to: now).wholeMilliseconds,
            nextProbeMilliseconds: nextProbe,
            consecutiveFailures: shared.breaker.failuresSinceSuccess,
            lastError: shared.lastError,
            concurrencyLimit: shared.breaker.concurrencyLimit,
            transitions: shared.transitions
        )
    }

    private func announce(_ change: Change?) {
        guard let change else { return }
        if change.from != change.to {
            // Probes of a day-long outage are no news: going and coming back are.
            let level: Logger.Level =
                switch (change.from, change.to) {
                case (.closed, _): .warning
                case (_, .closed): .notice
                default: .debug
                }
            var metadata: Logger.Metadata = [
                "from": "\(change.from.name)",
                "to": "\(change.to.name)",
                "consecutive_failures": "\(change.snapshot.consecutiveFailures)",
            ]
            if let milliseconds = change.snapshot.nextProbeMilliseconds {
                metadata["next_probe_ms"] = "\(milliseconds)"
            }
            if change.to != .closed, let error = change.snapshot.lastError {
                metadata["error"] = "\(error)"
            }
            self.logger.log(level: level, "Upstream breaker changed", metadata: metadata)
        }
        change.observer?(change.snapshot)
    }
}
