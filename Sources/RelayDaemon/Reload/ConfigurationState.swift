import AdminAPI
import DexatelAPI
import Outbox
import Synchronization

/// Which configuration is in force, and how the last reload went: for the status.
final class ConfigurationState: Sendable {
    private let state: Mutex<(configuration: RelayConfiguration, status: RelayStatus.Configuration)>

    init(_ configuration: RelayConfiguration) {
        state = Mutex((configuration, RelayStatus.Configuration(loadedAt: Self.now())))
    }

    /// What is in force.
    var configuration: RelayConfiguration { state.withLock { $0.configuration } }

    /// How it came to be.
    var status: RelayStatus.Configuration { state.withLock { $0.status } }

    /// A reload was successful.
    func loaded(_ change: ConfigurationChange) {
        let now = Self.now()
        state.withLock { state in
            state.configuration = change.effective
            state.status = RelayStatus.Configuration(loadedAt: now)
            state.status.needsRestart = change.needsRestart
        }
    }

    /// A reload was not: the old configuration stays.
    func failed(_ problem: String) {
        let now = Self.now()
        state.withLock { state in
            state.status.failedAt = now
            state.status.problem = problem
        }
    }

    private static func now() -> String { RFC3339.text(millisecondsSinceEpoch: RelayClock.wallMilliseconds()) }
}
