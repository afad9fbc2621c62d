extension RelayStatus {
    /// The configuration that is in force.
    package struct Configuration: Codable, Sendable, Equatable {
        /// When it was read (RFC 3339).
        package var loadedAt: String
        /// When the last reload failed, if it did: the configuration in force is an older one then.
        package var failedAt: String?
        /// Why it failed.
        package var problem: String?
        /// Keys that have new values which take effect at the next restart.
        package var needsRestart: [String] = []

        /// Describes a configuration that was read then.
        package init(loadedAt: String) { self.loadedAt = loadedAt }
    }
}
