import ServiceLifecycle
import Systemd

/// Tells systemd how the daemon does: `READY`, `STATUS` in words, `STOPPING`; the watch adds `WATCHDOG` while there is
/// progress.
struct NotifierService: Service {
    let notifier: Notifier
    let health: DaemonHealth
    let progress: DaemonProgress
    let watch: LivenessWatch
    let budget: ShutdownBudget

    /// How often the status is put together, at most.
    private static let interval: Duration = .seconds(2)

    func run() async throws {
        notifier.notify([.ready, .status(await health.statusLine())])
        let interval = min(Self.interval, notifier.watchdogInterval.map { $0 / 4 } ?? Self.interval)
        watch.start(progress)
        await cancelWhenGracefulShutdown { await report(every: interval) }
        watch.stop()
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
}
