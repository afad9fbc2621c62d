import Dispatch
import Foundation
import Logging
import ProxyServer
import Synchronization
import Systemd

/// Watches the daemon's parts on a thread of its own, for the service manager's watchdog and for `/_relay/live`.
///
/// It needs neither an event loop nor a task to come to its verdict: a part that hangs cannot keep it from being told.
final class LivenessWatch: Sendable {
    /// How often the parts are looked at, at most.
    private static let maxInterval: Duration = .seconds(2)
    /// How long a part may stand still where no service manager watches the daemon.
    private static let unwatchedPatience: Duration = .seconds(30)

    private struct State {
        var verdict = Liveness.Verdict.alive
        /// Since when the verdict is alive, or is not.
        var sinceMilliseconds: Int64
        var judgedAt = ContinuousClock.now
        var isStopped = false
    }

    private let interval: Duration
    private let patience: Duration
    private let notifier: Notifier
    private let logger: Logger
    private let wallMilliseconds: @Sendable () -> Int64
    private let state: Mutex<State>
    private let end = DispatchSemaphore(value: 0)

    /// - Parameter watchdog: The service manager's patience; nil where it does not watch the daemon.
    init(
        watchdog: Duration?,
        notifier: Notifier,
        logger: Logger,
        wallMilliseconds: @escaping @Sendable () -> Int64
    ) {
        interval = min(Self.maxInterval, watchdog.map { $0 / 4 } ?? Self.maxInterval)
        patience = watchdog ?? Self.unwatchedPatience
        (self.notifier, self.logger, self.wallMilliseconds) = (notifier, logger, wallMilliseconds)
        state = Mutex(State(sinceMilliseconds: wallMilliseconds()))
    }

    private var tolerance: Duration { patience / 2 }

    /// Begins to watch.
    func start(_ progress: DaemonProgress) {
        start(sample: { progress.sample() }, maxAttempt: { progress.maxAttempt })
    }

    /// Begins to watch, with what sees the parts.
    func start(sample: @escaping @Sendable () -> Liveness.Sample, maxAttempt: @escaping @Sendable () -> Duration) {
        state.withLock { $0.judgedAt = .now }
        let thread = Thread { [self] in
            var liveness = Liveness(tolerance: tolerance, patience: patience)
            let seconds = Double(interval / .milliseconds(1)) / 1_000
            repeat {
                take(liveness.judge(sample(), maxAttempt: maxAttempt(), now: .now), now: .now)
            } while end.wait(timeout: .now() + seconds) == .timedOut
        }
        thread.name = "liveness"
        thread.start()
    }

    /// Watches no more: the daemon stops, and its parts with it.
    func stop() {
        state.withLock { $0.isStopped = true }
        end.signal()
    }

    /// The verdict as `/_relay/live` shows it; it waits for nothing.
    func report(now: ContinuousClock.Instant = .now) -> HealthReport {
        let state = state.withLock { state in state }
        // A watch that stands still says nothing of the parts, and is itself a part that hangs.
        let isJudged = state.isStopped || state.judgedAt.duration(to: now) <= tolerance + Self.maxInterval
        var checks = state.verdict.checks(isStopped: state.isStopped)
        if !isJudged {
            checks.append(
                HealthReport.Check(name: "watch", isOK: false, detail: "the parts are not looked at any more")
            )
        }
        return HealthReport(sinceMilliseconds: state.sinceMilliseconds, checks: checks)
    }

    /// Takes a verdict: the service manager and the log hear of it.
    func take(_ verdict: Liveness.Verdict, now: ContinuousClock.Instant) {
        let (last, isStopped) = state.withLock { state in
            let last = state.verdict
            if (last == .alive) != (verdict == .alive) { state.sinceMilliseconds = wallMilliseconds() }
            (state.verdict, state.judgedAt) = (verdict, now)
            return (last, state.isStopped)
        }
        guard !isStopped else { return }
        switch verdict {
        case .alive: notifier.watchdog()
        case .waiting: break
        case .lost: notifier.watchdogTrigger()
        }
        if verdict != last { say(verdict) }
    }

    private func say(_ verdict: Liveness.Verdict) {
        switch verdict {
        case .alive: logger.notice("every part of the daemon makes progress again")
        case .waiting(let parts):
            let names = parts.map(\.rawValue).joined(separator: ", ")
            logger.error("no progress; the watchdog is not told that all is well", metadata: ["parts": "\(names)"])
        case .lost(let part):
            logger.critical(
                "no progress for too long; systemd is asked to restart the daemon",
                metadata: ["part": "\(part.rawValue)"]
            )
        }
    }
}

extension Liveness.Verdict {
    /// A check for each part, in the order of the parts.
    ///
    /// - Parameter isStopped: Whether the daemon stops: parts that have ended are not missed then.
    func checks(isStopped: Bool = false) -> [HealthReport.Check] {
        Liveness.Part.allCases.map { part in
            guard !isStopped, stuck.contains(part) else { return HealthReport.Check(name: part.checkName, isOK: true) }
            let detail = "\(part.rawValue) has made no progress for too long"
            return HealthReport.Check(name: part.checkName, isOK: false, detail: detail)
        }
    }

    private var stuck: [Liveness.Part] {
        switch self {
        case .alive: []
        case .waiting(let parts): parts
        case .lost(let part): [part]
        }
    }
}
