/// A field with directives for caches like this one (RFC 9213 §2.1): a dictionary in the sense of RFC 9651 §3.2.
enum TargetedField {
    /// The directives; nil for a field that is empty, breaks the grammar, or gives seconds as anything but an integer
    /// that is not negative (§2.1): it counts as absent.
    static func directives(_ lines: [String]) -> [CacheDirective]? {
        guard let dictionary = StructuredDictionary(lines), !dictionary.members.isEmpty else { return nil }
        var directives: [CacheDirective] = []
        for (key, value) in dictionary.members {
            if CacheDirective.isInSeconds(key) {
                guard case .number(let text) = value, DeltaSeconds.parse(text) != nil else { return nil }
            }
            switch value {
            case .boolean(true): directives.append(CacheDirective(name: key, argument: .none))
            case .text(let text), .number(let text): directives.append(CacheDirective(name: key, argument: .text(text)))
            // "Not so", and what no directive is defined with.
            case .boolean(false), .other: break
            }
        }
        return directives
    }
}
