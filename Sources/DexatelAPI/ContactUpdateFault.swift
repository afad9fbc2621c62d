/// Why an Update's body is refused before anything is stored (design §3.1).
package enum ContactUpdateFault: Error, Equatable {
    /// Not JSON (RFC 8259): what is wrong at which byte.
    case malformed(offset: Int, reason: String)
    /// JSON, but no object at the top.
    case notAnObject
    /// An object names a member twice, so that readers would differ in what it says (RFC 8259 §4).
    case duplicateMember(String)
    /// Nested deeper than `ContactUpdate.maxNesting`.
    case tooDeep
    /// `data` is there and not an object.
    case dataNotAnObject
    /// A known field is neither a string nor null.
    case fieldNotAString(ContactField)
    /// A known field's string has more Unicode scalars than its limit.
    case fieldTooLong(ContactField, limit: Int)

    /// The upstream's code for this, 1361 to 1364; nil where it has none.
    package var code: DexatelErrorCode? {
        guard case .fieldTooLong(let field, _) = self else { return nil }
        return field.tooLongCode
    }

    /// What a client's developer needs to put it right; holds names, never values (P7).
    package var message: String {
        switch self {
        case .malformed(let offset, let reason): "The body is not valid JSON: \(reason) at byte \(offset)"
        case .notAnObject: "The body must be a JSON object"
        case .duplicateMember(let name): "The body names the member '\(name.prefix(Self.maxNameInMessage))' twice"
        case .tooDeep: "The body nests deeper than \(ContactUpdate.maxNesting) levels"
        case .dataNotAnObject: "'data' must be a JSON object"
        case .fieldNotAString(let field): "'data.\(field.rawValue)' must be a string or null"
        case .fieldTooLong(let field, _): field.tooLongCode.message
        }
    }

    init(_ fault: JSONFault) {
        switch fault {
        case .malformed(let offset, let reason): self = .malformed(offset: offset, reason: reason)
        case .duplicateMember(let name): self = .duplicateMember(name)
        case .tooDeep: self = .tooDeep
        }
    }

    /// A name may be as long as the body: a message shows this many of its characters.
    private static let maxNameInMessage = 64
}
