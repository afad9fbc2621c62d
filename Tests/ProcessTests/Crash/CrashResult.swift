/// The result of a run, as a file.
struct CrashResult: Codable {
    /// Times in milliseconds.
    struct Spread: Codable {
        var median: Int
        var p99: Int
        var longest: Int

        init(_ times: [Duration]) {
            let sorted = times.map { Int($0 / .milliseconds(1)) }.sorted()
            func share(_ part: Double) -> Int {
                sorted.isEmpty ? 0 : sorted[min(sorted.count - 1, Int(Double(sorted.count) * part))]
            }
            (median, p99, longest) = (share(0.5), share(0.99), sorted.last ?? 0)
        }
    }

    var commit: String?
    var startedAt = ""
    var seed: UInt64 = 0
    var kills = 0
    /// Of the kills, those that came before the relay was ready.
    var killsDuringStart = 0
    var tally = CrashTally()
    /// From the start of a program to its first 200 of `/_relay/ready`, the debug build.
    var startToReadyMilliseconds: Spread?
    /// Pending writes at the starts: how much there was to recover.
    var longestBacklog: Int64 = 0
    /// From the first start to the end of the audit.
    var durationSeconds = 0
    /// What was not as promised.
    var findings: [String] = []
}
