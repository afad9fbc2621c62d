import Foundation

/// The result of a run, as a file.
struct ModelResult: Codable {
    var commit: String?
    var startedAt = ""
    var seed: UInt64 = 0
    var tally = ModelTally()
    /// While the clients were at it.
    var readingSeconds = 0
    /// To the end of the audit.
    var durationSeconds = 0
    /// What was not as promised.
    var findings: [String] = []
    /// What is known of the contact of the first finding.
    var story: [String] = []
}
