/// A value that was read and found well-formed.
struct JSONValue {
    enum Kind: Equatable {
        /// A string of this many Unicode scalars, unescaped.
        case string(scalarCount: Int)
        /// A number; an integer if it has neither fraction nor exponent.
        case number(isInteger: Bool)
        case object, array, boolean, null
    }

    let kind: Kind
    /// Where the value lies in the text.
    let range: Range<Int>
}
