/// Comparisons of header text, byte by byte: field names, directives and codings are ASCII and know no case (RFC 9110 §5.1).
extension String {
    /// Whether the text is `literal`, which is in lower case, but for its case.
    @inlinable @inline(__always)
    package func isASCII(_ literal: StaticString) -> Bool {
        utf8.count == literal.utf8CodeUnitCount && utf8.matchesASCII(literal)
    }

    /// Whether the two texts are the same but for the case of ASCII letters.
    package func isSameASCII(as other: String) -> Bool {
        utf8.count == other.utf8.count
            && zip(utf8, other.utf8).allSatisfy { $0.asciiLowercased == $1.asciiLowercased }
    }
}

extension StringProtocol {
    /// Whether the two texts are the same bytes.
    ///
    /// `==` takes texts for equal that Unicode calls equivalent, `é` composed and decomposed or the Kelvin sign and `K`; what a
    /// protocol compares as bytes must not be compared so.
    @inlinable
    package func hasSameBytes(as other: some StringProtocol) -> Bool { utf8.elementsEqual(other.utf8) }
}

extension Collection<UInt8> {
    /// Whether the bytes begin with `literal`, which is in lower case, but for its case.
    @inlinable @inline(__always)
    package func matchesASCII(_ literal: StaticString) -> Bool {
        var index = 0
        for byte in self {
            if index == literal.utf8CodeUnitCount { return true }
            if byte.asciiLowercased != literal.utf8Start[index] { return false }
            index += 1
        }
        return index == literal.utf8CodeUnitCount
    }
}

extension UInt8 {
    /// The byte, in lower case if it is an ASCII letter.
    @inlinable @inline(__always)
    package var asciiLowercased: UInt8 { self >= 0x41 && self <= 0x5A ? self | 0x20 : self }
}
