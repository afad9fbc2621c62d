/// One line of the table of settings: a key's name, form, default and purpose.
///
/// Validation, the printed configuration, the example file and the reference in `docs/configuration.md` all follow it.
package struct ConfigurationKey: Sendable {
    /// The name in dotted form, such as `writes.retry.max`.
    package let name: String
    /// The kind of value, such as `duration`.
    package let type: String
    /// What a value may be, as a phrase that follows "must be".
    package let allowed: String
    /// How values look, as a phrase that follows "such as", where `allowed` alone does not tell.
    package let examples: String?
    /// The default in words, where it is not one fixed value.
    package let derivedDefault: String?
    /// What the key is for, in one sentence.
    package let summary: String
    /// Whether the value must never be shown.
    package let isSecret: Bool
    /// Whether a new value takes effect at the next restart only, and not on a reload.
    package let needsRestart: Bool
    /// Whether a refusal may repeat the value that was given.
    let showsRefusedValue: Bool
    /// Whether the value is written in quotes in YAML.
    let isQuoted: Bool
    /// Whether YAML may give the value as a sequence.
    let isList: Bool
    private let read: @Sendable (RelayConfiguration) -> String
    private let write: @Sendable (String, inout RelayConfiguration) -> Bool

    init<Value>(
        _ name: String,
        _ property: any WritableKeyPath<RelayConfiguration, Value> & Sendable,
        _ syntax: ValueSyntax<Value>,
        _ summary: String,
        derivedDefault: String? = nil,
        isSecret: Bool = false,
        needsRestart: Bool = false
    ) {
        self.name = name
        self.type = syntax.type
        self.allowed = syntax.allowed
        self.examples = syntax.examples
        self.derivedDefault = derivedDefault
        self.summary = summary
        self.isSecret = isSecret
        self.needsRestart = needsRestart
        self.showsRefusedValue = syntax.showsRefusedValue && !isSecret
        self.isQuoted = syntax.isQuoted
        self.isList = syntax.isList
        self.read = { syntax.format($0[keyPath: property]) }
        self.write = { text, configuration in
            guard let value = syntax.parse(text) else { return false }
            configuration[keyPath: property] = value
            return true
        }
    }

    /// The environment variable that sets this key.
    package var variable: String {
        Self.variablePrefix + name.uppercased().map { $0 == "." ? "_" : String($0) }.joined()
    }

    /// The default as it would be written in the file, or in words where it depends on the environment.
    package var defaultText: String {
        derivedDefault ?? text(in: RelayConfiguration())
    }

    /// The value in `configuration`, in the form in which it is written in the file.
    package func text(in configuration: RelayConfiguration) -> String {
        read(configuration)
    }

    /// What a value must be, for a refusal.
    var rule: String {
        allowed + (examples.map { ", such as \($0)" } ?? "")
    }

    /// Sets the value in `configuration`, or returns `false` if `text` is not what the key allows.
    func set(_ text: String, in configuration: inout RelayConfiguration) -> Bool {
        write(text, &configuration)
    }

    /// The beginning of every environment variable that is the relay's.
    static let variablePrefix = "CONTACT_RELAY_"
}
