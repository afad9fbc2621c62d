/// Decides what the service manager's watchdog is told: a pure state machine over what is seen of the daemon's parts.
///
/// Every part has to turn over and over: each event loop, the pool of Swift's tasks, the commit thread (a disk that hangs
/// in fsync holds it up), the forwarder. Attempts that outlive every timeout are a forwarder that is lost although it turns.
struct Liveness {
    /// A part of the daemon.
    enum Part: String, CaseIterable, Sendable {
        case eventLoops = "an event loop"
        case tasks = "the pool of tasks"
        case commits = "the commit thread"
        case forwarder = "the forwarder"

        /// Its name among the checks of `/_relay/live`.
        var checkName: String {
            switch self {
            case .eventLoops: "event_loop"
            case .tasks: "task_pool"
            case .commits: "commit_thread"
            case .forwarder: "forwarder"
            }
        }
    }

    /// What was seen of the parts at one time.
    struct Sample: Sendable {
        /// How often the slowest event loop has answered.
        var eventLoops: UInt64
        /// How often the pool of tasks has answered.
        var tasks: UInt64
        /// How often the commit thread has turned.
        var commits: UInt64
        /// How often the forwarder has turned.
        var forwarder: UInt64
        /// How long the oldest attempt has been under way.
        var oldestAttempt: Duration?

        func count(_ part: Part) -> UInt64 {
            switch part {
            case .eventLoops: eventLoops
            case .tasks: tasks
            case .commits: commits
            case .forwarder: forwarder
            }
        }
    }

    enum Verdict: Equatable, Sendable {
        /// Every part turns: `WATCHDOG=1`.
        case alive
        /// These parts have not turned lately: nothing is told, so that the watchdog runs out unless they turn again.
        case waiting([Part])
        /// The daemon will not come to itself: `WATCHDOG=trigger`.
        case lost(Part)
    }

    /// How long a part may go without a turn before the watchdog is kept waiting.
    let tolerance: Duration
    /// How long a part may go without a turn before all is lost.
    let patience: Duration
    private var seen: [Part: (count: UInt64, at: ContinuousClock.Instant)] = [:]

    init(tolerance: Duration, patience: Duration) {
        (self.tolerance, self.patience) = (tolerance, patience)
    }

    /// Judges a sample.
    ///
    /// - Parameter maxAttempt: Longer than any attempt can last by its timeouts.
    mutating func judge(_ sample: Sample, maxAttempt: Duration, now: ContinuousClock.Instant) -> Verdict {
        var still: [Part] = []
        for part in Part.allCases {
            let count = sample.count(part)
            guard let last = seen[part], last.count == count else {
                seen[part] = (count, now)
                continue
            }
            let rest = last.at.duration(to: now)
            if rest > patience { return .lost(part) }
            if rest > tolerance { still.append(part) }
        }
        if let oldest = sample.oldestAttempt, oldest > maxAttempt { return .lost(.forwarder) }
        return still.isEmpty ? .alive : .waiting(still)
    }
}
