import Foundation

/// How much is asked of the model test; a long run sets more in the environment than the suite does (`make model`).
struct ModelSettings: Sendable {
    /// How many replies are looked at: `MODEL_REPLIES`.
    var replies = 30_000
    /// The file to write the result to: `MODEL_RESULT`.
    var resultPath: String?
    /// The commit that the result names: `MODEL_COMMIT`.
    var commit: String?

    /// What the environment asks for.
    static let current: ModelSettings = {
        let environment = ProcessInfo.processInfo.environment
        var settings = ModelSettings()
        if let replies = environment["MODEL_REPLIES"].flatMap({ Int($0) }), replies > 0 { settings.replies = replies }
        settings.resultPath = environment["MODEL_RESULT"]
        settings.commit = environment["MODEL_COMMIT"]
        return settings
    }()

    /// Minutes after which a run has failed: several times what it takes, as machines differ.
    var timeLimitMinutes: Int { max(5, replies / 5_000) }
}
