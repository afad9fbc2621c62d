extension RelayConfiguration {
    /// The file that is read when none is named, if it exists.
    package static let defaultFile = "/etc/contact-relay/contact-relay.yaml"

    /// Reads and checks the configuration: `overrides`, over the environment, over the file, over the defaults.
    ///
    /// - Parameters:
    ///   - file: A YAML file that must exist; `nil` reads ``defaultFile`` if that exists.
    ///   - environment: The process's environment, of which `CONTACT_RELAY_…`, `STATE_DIRECTORY`,
    ///     `RUNTIME_DIRECTORY` and `CREDENTIALS_DIRECTORY` count.
    ///   - overrides: Values from the command line by their keys, such as `upstream.url`.
    ///   - readsSecrets: Whether the files of the API key and of the token are read: the daemon's business, while an
    ///     operator's commands may lack the right to.
    /// - Throws: ``ConfigurationError`` with every problem there is; the daemon exits with 78 then.
    package static func load(
        file: String?,
        environment: [String: String],
        overrides: [String: String],
        readsSecrets: Bool = true
    ) async throws(ConfigurationError) -> RelayConfiguration {
        try load(
            file: file,
            defaultFile: defaultFile,
            environment: environment,
            overrides: overrides,
            readsSecrets: readsSecrets
        )
    }

    static func load(
        file: String?,
        defaultFile: String,
        environment: [String: String],
        overrides: [String: String],
        readsSecrets: Bool = true
    ) throws(ConfigurationError) -> RelayConfiguration {
        var sources = ConfigurationSources(table: ConfigurationKey.all)
        sources.readFile(at: file ?? defaultFile, mayBeMissing: file == nil)
        sources.readEnvironment(environment)
        sources.readOverrides(overrides)

        var configuration = RelayConfiguration(environment: environment)
        let refused = sources.apply(to: &configuration)
        configuration.deriveAdminSocket(environment: environment, isGiven: sources.origin(of: "admin.socket") != nil)
        configuration.deriveSecretFiles(environment, sources)
        if sources.origin(of: "upstream.max_concurrent_writes") == nil { configuration.fitConcurrentWrites() }
        configuration.deriveProxy(environment, isGiven: sources.origin(of: "upstream.proxy") != nil)
        let secretProblems = readsSecrets ? configuration.readSecrets(sources) : []

        let checks = ConfigurationChecks(configuration: configuration, sources: sources, refused: refused)
        let problems = sources.problems + secretProblems + checks.problems()
        guard problems.isEmpty else { throw ConfigurationError(problems: problems) }
        return configuration
    }

    /// The defaults under this environment.
    ///
    /// systemd gives several directories separated by colons; the first counts.
    private init(environment: [String: String]) {
        self.init()
        if let directory = Self.firstDirectory(environment["STATE_DIRECTORY"]) { state.directory = directory }
    }

    private mutating func deriveAdminSocket(environment: [String: String], isGiven: Bool) {
        guard !isGiven else { return }
        admin.socket = (Self.firstDirectory(environment["RUNTIME_DIRECTORY"]) ?? state.directory) + "/admin.sock"
    }

    /// The default is for the default number of connections.
    private mutating func fitConcurrentWrites() {
        upstream.maxConcurrentWrites = min(upstream.maxConcurrentWrites, upstream.maxConnections)
    }

    private static func firstDirectory(_ list: String?) -> String? {
        list?.split(separator: ":").first.map { String($0) }
    }
}
