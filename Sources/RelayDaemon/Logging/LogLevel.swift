package import Logging
import Synchronization

/// The least severe level that is logged, which a reload changes for all loggers at once.
package final class LogLevel: Sendable {
    private let index: Atomic<Int>

    /// Starts with this level.
    package init(_ level: Logger.Level) { index = Atomic(Self.index(of: level)) }

    /// The level in force.
    package var level: Logger.Level {
        get { Logger.Level.allCases[index.load(ordering: .relaxed)] }
        set { index.store(Self.index(of: newValue), ordering: .relaxed) }
    }

    private static func index(of level: Logger.Level) -> Int { Logger.Level.allCases.firstIndex(of: level) ?? 0 }
}
