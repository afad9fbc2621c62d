extension JSONScanner {
    /// Appends the UTF-8 of a string that `scanString` has admitted.
    func appendUnescaped(_ token: JSONStringToken, to bytes: inout [UInt8]) {
        var position = token.contents.lowerBound
        while position < token.contents.upperBound {
            let byte = text[position]
            guard byte == UInt8(ascii: "\\") else {
                bytes.append(byte)
                position += 1
                continue
            }
            let escape = text[position + 1]
            position += 2
            switch escape {
            case UInt8(ascii: "b"): bytes.append(0x08)
            case UInt8(ascii: "f"): bytes.append(0x0C)
            case UInt8(ascii: "n"): bytes.append(0x0A)
            case UInt8(ascii: "r"): bytes.append(0x0D)
            case UInt8(ascii: "t"): bytes.append(0x09)
            case UInt8(ascii: "u"): bytes.append(contentsOf: unescapedScalar(&position))
            default: bytes.append(escape)
            }
        }
    }

    /// The UTF-8 of the scalar whose four digits begin at `position`, the second half of a surrogate pair taken along.
    private func unescapedScalar(_ position: inout Int) -> String.UTF8View {
        let unit = fourDigits(at: position)
        position += 4
        guard UTF16.isLeadSurrogate(unit) else { return String(decoding: [unit], as: UTF16.self).utf8 }
        let trail = fourDigits(at: position + 2)
        position += 6
        return String(decoding: [unit, trail], as: UTF16.self).utf8
    }

    private func fourDigits(at position: Int) -> UInt16 {
        (position..<position + 4).reduce(0) { $0 << 4 | UInt16(HexDigit.value(text[$1]) ?? 0) }
    }
}
