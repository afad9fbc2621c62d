import Glibc
import Logging
import ServiceLifecycle
import Systemd
import UnixSignals

/// Does what signals ask for: SIGHUP reloads the configuration, SIGTERM and SIGINT end the daemon in order.
///
/// The signals are caught from the first moment of the daemon on, so that none ends it in the middle of its start.
struct SignalService: Service {
    let signals: UnixSignalsSequence
    let reload: ConfigurationReload
    let notifier: Notifier
    let health: DaemonHealth

    /// The signals that the daemon knows.
    static func trap() async -> UnixSignalsSequence { await UnixSignalsSequence(trapping: .sighup, .sigterm, .sigint) }

    /// Returns when the daemon is to end.
    func run() async throws {
        await cancelWhenGracefulShutdown {
            for await signal in signals {
                guard signal == .sighup else { return }
                notifier.notify([
                    .reloading(monotonicMicroseconds: Self.monotonicMicroseconds()),
                    .status("reloading the configuration"),
                ])
                await reload.reload()
                notifier.notify([.ready, .status(await health.statusLine())])
            }
        }
    }

    private static func monotonicMicroseconds() -> UInt64 {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return UInt64(time.tv_sec) * 1_000_000 + UInt64(time.tv_nsec) / 1_000
    }
}
