/// The master key, and the one before it while it is being rotated (design §8).
struct MasterKeys: Sendable {
    var current: MasterKey
    /// The credential `master-key.previous` or the file `<state>/master.key.previous`.
    var previous: MasterKey?

    /// Finds both; a new one is made only where nothing sealed would be lost by it.
    static func load(
        stateDirectory: String,
        credentialsDirectory: String?,
        mayCreate: Bool
    ) throws(OutboxError) -> MasterKeys {
        let previous = try MasterKey.find(
            file: stateDirectory + "/master.key.previous",
            credential: credentialsDirectory.map { $0 + "/master-key.previous" }
        )
        let current = try MasterKey.load(
            stateDirectory: stateDirectory,
            credentialsDirectory: credentialsDirectory,
            mayCreate: mayCreate
        )
        return MasterKeys(current: current, previous: previous)
    }
}
