extension Notifier {
    /// One or more lines of a message to the service manager, as in sd_notify(3).
    package enum State: Sendable, Equatable {
        /// Start-up or a reload is finished.
        case ready
        /// The line that `systemctl status` shows.
        case status(String)
        /// The daemon is alive.
        case watchdog
        /// The daemon wants to be treated as if its watchdog had run out.
        case watchdogTrigger
        /// Shutting down has begun.
        case stopping
        /// A reload has begun at this reading of `CLOCK_MONOTONIC`.
        case reloading(monotonicMicroseconds: UInt64)
        /// The running start, stop or watchdog period needs that much longer.
        case extendTimeout(microseconds: UInt64)
        /// The error number behind a failure.
        case errorNumber(Int32)
        /// The status that the process will exit with.
        case exitStatus(Int32)

        /// Whether another one that says as much comes soon.
        var isRepeated: Bool {
            switch self {
            case .status, .watchdog, .watchdogTrigger: true
            default: false
            }
        }

        /// The text for the message, without a line break at its end.
        var line: String {
            switch self {
            case .ready: "READY=1"
            case .status(let text): "STATUS=" + Self.oneLine(text)
            case .watchdog: "WATCHDOG=1"
            case .watchdogTrigger: "WATCHDOG=trigger"
            case .stopping: "STOPPING=1"
            case .reloading(let microseconds): "RELOADING=1\nMONOTONIC_USEC=\(microseconds)"
            case .extendTimeout(let microseconds): "EXTEND_TIMEOUT_USEC=\(microseconds)"
            case .errorNumber(let number): "ERRNO=\(number)"
            case .exitStatus(let status): "EXIT_STATUS=\(status)"
            }
        }

        /// A line break in a status would let its text pass for further lines of the message, and a NUL would cut the
        /// message off: neither may get through, wherever the text comes from.
        private static func oneLine(_ text: String) -> String {
            text.unicodeScalars
                .split { scalar in
                    switch scalar.properties.generalCategory {
                    case .control, .lineSeparator, .paragraphSeparator: true
                    default: false
                    }
                }
                .map { String($0) }
                .joined(separator: " ")
        }
    }
}
