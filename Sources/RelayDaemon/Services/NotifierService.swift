import Logging
import ServiceLifecycle
import Systemd

/// Tells systemd how the daemon does: `READY`, `STATUS` in words, `WATCHDOG` while there is progress, `STOPPING`.
struct NotifierService: Service {
    let notifier: Notifier
    let health: DaemonHealth
    let progress: DaemonProgress
    let budget: ShutdownBudget
    let logger: Logger

    /// How often the parts are looked at, at most.
    private static let interval: Duration = .seconds(2)
    /// How long a part may stand still where nobody watches the daemon.
    private static let unwatchedPatience: Duration = .seconds(30)

    func run() async throws {
        notifier.notify([.ready, .status(await health.statusLine())])
        let watchdog = notifier.watchdogInterval
        let interval = min(Self.interval, watchdog.map { $0 / 4 } ?? Self.interval)
        await cancelWhenGracefulShutdown {
            await withTaskGroup(of: Void.self) { group in
                // The status reads the database, and must not hold up the watchdog; nor must the watchdog's silence hide
                // the status.
                group.addTask { await report(every: interval) }
                group.addTask { await watch(every: interval, patience: watchdog ?? Self.unwatchedPatience) }
            }
        }
        notifier.stopping()
        let health = health
        budget.begin(notifier) { health.underWay }
    }

    private func report(every interval: Duration) async {
        var lastLine = ""
        while !Task.isCancelled {
            let line = await health.statusLine()
            if line != lastLine {
                notifier.status(line)
                lastLine = line
            }
            try? await Task.sleep(for: interval)
        }
    }

    private func watch(every interval: Duration, patience: Duration) async {
        var liveness = Liveness(tolerance: patience / 2, patience: patience)
        var last = Liveness.Verdict.alive
        while !Task.isCancelled {
            let verdict = liveness.judge(progress.sample(), maxAttempt: progress.maxAttempt, now: .now)
            switch verdict {
            case .alive: notifier.watchdog()
            case .waiting: break
            case .lost: notifier.watchdogTrigger()
            }
            if verdict != last { say(verdict) }
            last = verdict
            try? await Task.sleep(for: interval)
        }
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
