import Foundation

/// How much is asked of the crash test; a long run sets more in the environment than the suite does (`make crash`).
struct CrashSettings: Sendable {
    /// How often the relay is killed: `CRASH_KILLS`.
    var kills = 200
    /// The file to write the result to: `CRASH_RESULT`.
    var resultPath: String?
    /// The commit that the result names: `CRASH_COMMIT`.
    var commit: String?

    /// What the environment asks for.
    static let current: CrashSettings = {
        let environment = ProcessInfo.processInfo.environment
        var settings = CrashSettings()
        if let kills = environment["CRASH_KILLS"].flatMap({ Int($0) }), kills > 0 { settings.kills = kills }
        settings.resultPath = environment["CRASH_RESULT"]
        settings.commit = environment["CRASH_COMMIT"]
        return settings
    }()

    /// Minutes after which a run has failed: several times what it takes, as machines differ.
    var timeLimitMinutes: Int { max(3, kills / 40) }
}
