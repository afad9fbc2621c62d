/// How the values of a setting are written: what is allowed, and the way from text to value and back.
struct ValueSyntax<Value: Sendable>: Sendable {
    /// The kind of value, in a word or two.
    let type: String
    /// What a value may be, as a phrase that follows "must be".
    let allowed: String
    /// How values look, where the phrase alone does not tell.
    var examples: String?
    /// Whether the value is written in quotes in YAML, since it may hold any character.
    var isQuoted = false
    /// Whether YAML may give the value as a sequence.
    var isList = false
    /// Whether a refusal may repeat the text; not where a secret could be in it by mistake.
    var showsRefusedValue = true
    /// The value of a text, or `nil` if it is not allowed.
    let parse: @Sendable (String) -> Value?
    /// The text of a value, which ``parse`` reads as the same value.
    let format: @Sendable (Value) -> String
}

extension ValueSyntax where Value == Bool {
    /// `true` or `false`.
    static var boolean: Self {
        Self(type: "boolean", allowed: "true or false") {
            Bool($0)
        } format: {
            String($0)
        }
    }
}

extension ValueSyntax where Value: RawRepresentable & CaseIterable & Sendable, Value.RawValue == String {
    /// One of the cases of an enumeration, by its raw value.
    static func choice() -> Self {
        let words = Value.allCases.map(\.rawValue)
        return Self(type: "word", allowed: words.dropLast().joined(separator: ", ") + " or " + (words.last ?? "")) {
            Value(rawValue: $0)
        } format: {
            $0.rawValue
        }
    }
}
