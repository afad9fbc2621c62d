/// A field with directives for caches like this one (RFC 9213 §2.1): a dictionary in the sense of RFC 9651 §3.2.
enum TargetedField {
    /// The directives; nil for a field that is empty or breaks the grammar, which counts as absent.
    static func directives(_ lines: [String]) -> [CacheDirective]? {
        guard let dictionary = StructuredDictionary(lines), !dictionary.members.isEmpty else { return nil }
        return dictionary.members.compactMap { key, value in
            switch value {
            case .boolean(true): CacheDirective(name: key, argument: .none)
            case .text(let text): CacheDirective(name: key, argument: .text(text))
            // "Not so", and what no directive is defined with.
            case .boolean(false), .other: nil
            }
        }
    }
}
