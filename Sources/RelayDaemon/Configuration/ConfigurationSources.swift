import Configuration

/// The places that settings come from, what each says, and what is wrong with it.
struct ConfigurationSources {
    private let table: [ConfigurationKey]
    private let names: KeyNames
    private var path = ""
    private var file: [String: ConfigurationFile.Entry] = [:]
    private var environment: [String: String] = [:]
    private var overrides: [String: String] = [:]
    /// What is wrong so far, in the order of the sources.
    private(set) var problems: [ConfigurationError.Problem] = []

    init(table: [ConfigurationKey]) {
        self.table = table
        self.names = KeyNames(table)
    }

    /// Takes the settings of a YAML file.
    mutating func readFile(at path: String, mayBeMissing: Bool) {
        self.path = path
        do throws(ConfigurationFile.ReadError) {
            let contents = try ConfigurationFile.contents(of: path)
            let parsed = ConfigurationFile(yaml: contents, path: path, names: names)
            file = parsed.entries
            problems +=
                parsed.problems
                + table.compactMap { refusal(of: parsed.entries[$0.name]?.text, for: $0, at: fileOrigin($0.name)) }
            problems.sort { ($0.line ?? 0) < ($1.line ?? 0) }
        } catch {
            switch error {
            case .missing where mayBeMissing: break
            case .missing:
                problems.append(.init(origin: .file(path, line: nil), key: nil, message: "there is no such file"))
            case .failed(let reason):
                problems.append(.init(origin: .file(path, line: nil), key: nil, message: "cannot be read: \(reason)"))
            }
        }
    }

    /// Takes the settings among the environment's variables.
    mutating func readEnvironment(_ variables: [String: String]) {
        environment = variables.filter { $0.key.hasPrefix(ConfigurationKey.variablePrefix) }
        let keys = Dictionary(uniqueKeysWithValues: table.map { ($0.variable, $0) })
        for (variable, text) in environment.sorted(by: { $0.key < $1.key }) {
            let origin = ConfigurationError.Origin.environment(variable: variable)
            if let key = keys[variable] {
                problems += [refusal(of: text, for: key, at: origin)].compactMap(\.self)
            } else {
                problems.append(.init(origin: origin, key: nil, message: names.refusal(ofVariable: variable)))
            }
        }
    }

    /// Takes the settings of the command line.
    mutating func readOverrides(_ values: [String: String]) {
        for (name, text) in values.sorted(by: { $0.key < $1.key }) {
            if let key = names.key(name) {
                overrides[name] = text
                problems += [refusal(of: text, for: key, at: .commandLine)].compactMap(\.self)
            } else {
                problems.append(.init(origin: .commandLine, key: name, message: names.refusal(of: name)))
            }
        }
    }

    /// Where the value that holds for a key came from, or `nil` if no source gives one.
    func origin(of name: String) -> ConfigurationError.Origin? {
        if overrides[name] != nil { return .commandLine }
        if let variable = names.key(name)?.variable, environment[variable] != nil {
            return .environment(variable: variable)
        }
        return file[name] != nil ? fileOrigin(name) : nil
    }

    /// Sets what the sources say and returns the keys whose values were refused.
    func apply(to configuration: inout RelayConfiguration) -> Set<String> {
        let reader = ConfigReader(providers: [
            InMemoryProvider(name: "command line", values: Self.values(overrides)),
            EnvironmentVariablesProvider(environmentVariables: environment).prefixKeys(with: "contact_relay"),
            InMemoryProvider(name: "file", values: Self.values(file.mapValues(\.text))),
        ])
        var refused: Set<String> = []
        for key in table {
            guard let text = reader.string(forKey: ConfigKey(key.name), isSecret: key.isSecret) else { continue }
            if !key.set(text, in: &configuration) { refused.insert(key.name) }
        }
        return refused
    }

    /// A key's value in the form in which it is written.
    func text(of name: String, in configuration: RelayConfiguration) -> String {
        names.key(name)?.text(in: configuration) ?? ""
    }

    private func fileOrigin(_ name: String) -> ConfigurationError.Origin {
        .file(path, line: file[name]?.line)
    }

    /// What is wrong with a value, even one that a later source overrides.
    private func refusal(
        of text: String?,
        for key: ConfigurationKey,
        at origin: ConfigurationError.Origin
    ) -> ConfigurationError.Problem? {
        var scratch = RelayConfiguration()
        guard let text, !key.set(text, in: &scratch) else { return nil }
        let refused = key.showsRefusedValue ? ", not \(String(reflecting: text))" : ""
        return .init(origin: origin, key: key.name, message: "must be \(key.rule)\(refused)")
    }

    private static func values(_ texts: [String: String]) -> [AbsoluteConfigKey: ConfigValue] {
        Dictionary(
            uniqueKeysWithValues: texts.map { name, text in
                (AbsoluteConfigKey(ConfigKey(name)), ConfigValue(.string(text), isSecret: false))
            }
        )
    }
}
