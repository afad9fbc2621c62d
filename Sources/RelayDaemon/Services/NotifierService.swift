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

    /// How often the status text is looked at.
    private static let statusInterval: Duration = .seconds(2)

    func run() async throws {
        notifier.notify([.ready, .status(await health.statusLine())])
        let interval = min(Self.statusInterval, notifier.watchdogInterval.map { $0 / 2 } ?? Self.statusInterval)
        await cancelWhenGracefulShutdown {
            var lastLine = ""
            while !Task.isCancelled {
                let line = await health.statusLine()
                if line != lastLine {
                    notifier.status(line)
                    lastLine = line
                }
                if await progress.isMade() {
                    notifier.watchdog()
                } else {
                    logger.error("no progress: the watchdog is not told that all is well")
                }
                try? await Task.sleep(for: interval)
            }
        }
        _ = budget.deadline
        notifier.notify([.stopping, .status("stopping; " + (await health.statusLine()))])
    }
}
