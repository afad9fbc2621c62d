/// The names of a table's keys and sections, for telling known from unknown.
struct KeyNames {
    private let keys: [String: ConfigurationKey]
    /// The sections and the names of their members, sorted.
    private let sections: [String: [String]]

    init(_ table: [ConfigurationKey]) {
        keys = Dictionary(uniqueKeysWithValues: table.map { ($0.name, $0) })
        var members: [String: Set<String>] = [:]
        for key in table {
            let parts = key.name.split(separator: ".").map { String($0) }
            for depth in 1..<max(parts.count, 1) {
                members[parts[..<depth].joined(separator: "."), default: []].insert(parts[depth])
            }
        }
        sections = members.mapValues { $0.sorted() }
    }

    func key(_ name: String) -> ConfigurationKey? { keys[name] }

    func members(ofSection name: String) -> [String]? { sections[name] }

    /// Keys of secrets, which nothing gives in plain text, and those that name their files.
    private static let secrets = ["upstream.api_key": "upstream.api_key_file", "listen.token": "listen.token_file"]

    /// Why a name is refused, with the name that was probably meant.
    func refusal(of name: String) -> String {
        if let file = Self.secrets[name] { return "is not given in plain text; \(file) names a file that holds it" }
        return "is not a known key" + (nearest(to: name).map { "; did you mean \($0)?" } ?? "")
    }

    /// Why an environment variable is refused, with the one that was probably meant.
    func refusal(ofVariable variable: String) -> String {
        let secret = Self.secrets.first {
            keys[$0.value].map { $0.variable.dropLast("_FILE".count) == variable[...] } ?? false
        }
        if let secret { return "is not given in plain text; \(secret.value) names a file that holds it" }
        let variables = keys.values.map(\.variable)
        let meant = variables.nearest(to: variable, ignoringPrefix: ConfigurationKey.variablePrefix)
        return "is not a known setting" + (meant.map { "; did you mean \($0)?" } ?? "")
    }

    /// A known name that differs by a typing error, or else the only one with the same last part.
    private func nearest(to name: String) -> String? {
        if let meant = keys.keys.nearest(to: name) { return meant }
        let last = name.split(separator: ".").last
        let namesakes = keys.keys.filter { $0.split(separator: ".").last == last }
        return namesakes.count == 1 ? namesakes.first : nil
    }
}
