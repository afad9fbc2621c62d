/// Where the server learns how the daemon does.
package protocol HealthSource: Sendable {
    /// Whether the process works at all: the event loops turn.
    func live() -> HealthReport
    /// Whether writes can be taken.
    func ready() -> HealthReport
    /// Everything, as JSON; no contact data, no keys.
    func statusDocument() async -> [UInt8]
    /// Everything that is counted, as Prometheus text.
    func metricsDocument() async -> [UInt8]
}

/// An answer of `/_relay/live` or `/_relay/ready`.
package struct HealthReport: Sendable, Equatable {
    /// One thing that was looked at.
    package struct Check: Sendable, Equatable {
        /// Its name.
        package var name: String
        /// Whether it is all right.
        package var isOK: Bool
        /// What is the matter, for an operator.
        package var detail: String?

        /// Describes a check.
        package init(name: String, isOK: Bool, detail: String? = nil) {
            self.name = name
            self.isOK = isOK
            self.detail = detail
        }
    }

    /// Since when it has been so: wall clock, milliseconds since 1970.
    package var sinceMilliseconds: Int64
    /// What was looked at; the report is good when all of it is.
    package var checks: [Check]

    /// Puts a report together.
    package init(sinceMilliseconds: Int64, checks: [Check]) {
        self.sinceMilliseconds = sinceMilliseconds
        self.checks = checks
    }

    /// Whether all is well: 200, else 503.
    package var isOK: Bool { checks.allSatisfy(\.isOK) }
}
