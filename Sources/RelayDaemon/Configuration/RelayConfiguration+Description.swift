extension RelayConfiguration {
    /// The effective value of every key, as YAML that can be used as a configuration file.
    ///
    /// Secrets are left out: their lines are comments (P7).
    package func effectiveDescription() -> String {
        effectiveDescription(of: ConfigurationKey.all)
    }

    func effectiveDescription(of table: [ConfigurationKey]) -> String {
        var lines: [String] = []
        var open: [Substring] = []
        for key in table {
            let parts = key.name.split(separator: ".")
            let sections = parts.dropLast()
            let common = zip(open, sections).prefix { $0 == $1 }.count
            for depth in common..<max(common, sections.count) {
                lines.append(Self.indentation(depth) + "\(sections[depth]):")
            }
            open = Array(sections)
            lines.append(Self.indentation(sections.count) + setting(key, named: parts.last ?? ""))
        }
        return lines.joined(separator: "\n") + "\n"
    }

    private func setting(_ key: ConfigurationKey, named name: Substring) -> String {
        if key.isSecret, !key.text(in: self).isEmpty { return "#\(name): <redacted>" }
        return "\(name): \(key.yaml(in: self))"
    }

    private static func indentation(_ depth: Int) -> String {
        String(repeating: "  ", count: depth)
    }
}

extension ConfigurationKey {
    /// The value in `configuration` as a YAML scalar.
    func yaml(in configuration: RelayConfiguration) -> String {
        let text = text(in: configuration)
        guard isQuoted else { return text }
        // Values hold no control characters, so these two are all that a double-quoted scalar must escape.
        return "\"" + text.map { $0 == "\"" || $0 == "\\" ? "\\\($0)" : String($0) }.joined() + "\""
    }
}
