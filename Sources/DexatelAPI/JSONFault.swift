/// Why a text is not a JSON document that this target admits.
enum JSONFault: Error, Equatable {
    /// Against the grammar of RFC 8259, at this byte.
    case malformed(offset: Int, reason: String)
    /// One object names a member twice.
    case duplicateMember(String)
    /// Objects and arrays nest deeper than the bound.
    case tooDeep
}
