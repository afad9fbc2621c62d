import NIOCore
import NIOPosix
import Outbox
import Synchronization

/// Counts the turns of the daemon's parts: those of the event loops, of the pool of tasks, of the commit thread, of the
/// forwarder.
final class DaemonProgress: Sendable {
    /// Added to `upstream.request_timeout`: nothing that ends an attempt in order takes longer.
    private static let attemptMargin: Duration = .seconds(60)

    private let loops: [(loop: any EventLoop, turns: TurnCount)]
    private let tasks = TurnCount()
    private let outbox: Outbox
    private let configuration: ConfigurationState

    init(group: MultiThreadedEventLoopGroup, outbox: Outbox, configuration: ConfigurationState) {
        loops = group.makeIterator().map { ($0, TurnCount()) }
        self.outbox = outbox
        self.configuration = configuration
    }

    /// What there is to be seen now; it asks for the turns that the next sample will show, and waits for nothing.
    func sample(now: ContinuousClock.Instant = .now) -> Liveness.Sample {
        defer { ask() }
        let turns = outbox.turns
        return Liveness.Sample(
            eventLoops: loops.map(\.turns.count).min() ?? 0,
            tasks: tasks.count,
            commits: turns.commits,
            forwarder: turns.deliveries,
            oldestAttempt: turns.oldestAttemptBegan.map { $0.duration(to: now) }
        )
    }

    /// Longer than any attempt can last by its timeouts.
    ///
    /// Attempts may have begun under an older configuration: one that allows less does not make them lost.
    var maxAttempt: Duration {
        longestTimeout.withLock { longest in
            longest = max(longest, configuration.configuration.upstream.requestTimeout)
            return longest + Self.attemptMargin
        }
    }

    private let longestTimeout = Mutex(Duration.zero)

    private func ask() {
        for (loop, turns) in loops { turns.ask(loop) }
        tasks.askTasks()
        outbox.nudge()
    }
}
