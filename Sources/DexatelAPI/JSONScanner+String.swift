/// A string's place in the text, between the quotes.
struct JSONStringToken {
    let contents: Range<Int>
    let hasEscapes: Bool
    /// The number of Unicode scalars of the unescaped string.
    let scalarCount: Int
}

extension JSONScanner {
    /// Steps over a string, quotes included: valid UTF-8, no control character, no half of a surrogate pair.
    mutating func scanString() throws(JSONFault) -> JSONStringToken {
        guard take(UInt8(ascii: "\"")) else { throw expected("string") }
        let start = cursor
        var scalarCount = 0
        var hasEscapes = false
        while true {
            let plain = plainByteCount()
            cursor += plain
            scalarCount += plain
            guard cursor < text.count else { throw malformed("string without an end") }
            switch text[cursor] {
            case UInt8(ascii: "\""):
                cursor += 1
                return JSONStringToken(
                    contents: start..<cursor - 1,
                    hasEscapes: hasEscapes,
                    scalarCount: scalarCount
                )
            case UInt8(ascii: "\\"):
                hasEscapes = true
                try scanEscape()
            case 0..<0x20:
                throw malformed("unescaped control character")
            default:
                try scanMultiByteScalar()
            }
            scalarCount += 1
        }
    }

    /// How many bytes from the cursor on are ASCII and neither quote, backslash nor control; eight are judged at once.
    @inline(__always)
    private func plainByteCount() -> Int {
        let ones: UInt64 = 0x0101_0101_0101_0101
        let tops: UInt64 = 0x8080_8080_8080_8080
        var position = cursor
        while position &+ 8 <= text.count {
            let word = UInt64(littleEndian: text.loadUnaligned(fromByteOffset: position, as: UInt64.self))
            let quotes = word ^ (0x22 &* ones)
            let backslashes = word ^ (0x5C &* ones)
            // A borrow can flag a byte falsely only above a byte that is flagged truly: the lowest flag is right.
            let flags =
                (word | (word &- 0x20 &* ones) | ((quotes &- ones) & ~quotes)
                    | ((backslashes &- ones) & ~backslashes)) & tops
            if flags != 0 { return position &+ flags.trailingZeroBitCount / 8 &- cursor }
            position &+= 8
        }
        while position < text.count {
            let byte = text[position]
            if byte < 0x20 || byte >= 0x80 || byte == UInt8(ascii: "\"") || byte == UInt8(ascii: "\\") { break }
            position &+= 1
        }
        return position &- cursor
    }

    private mutating func scanEscape() throws(JSONFault) {
        let start = cursor
        cursor += 1
        switch peek {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"), UInt8(ascii: "b"), UInt8(ascii: "f"),
            UInt8(ascii: "n"), UInt8(ascii: "r"), UInt8(ascii: "t"):
            cursor += 1
        case UInt8(ascii: "u"):
            cursor += 1
            let unit = try scanFourDigits()
            if UTF16.isTrailSurrogate(unit) { throw loneSurrogate(at: start) }
            guard UTF16.isLeadSurrogate(unit) else { return }
            guard take(UInt8(ascii: "\\")), take(UInt8(ascii: "u")) else { throw loneSurrogate(at: start) }
            guard UTF16.isTrailSurrogate(try scanFourDigits()) else { throw loneSurrogate(at: start) }
        default:
            throw malformed("unknown escape")
        }
    }

    private func loneSurrogate(at offset: Int) -> JSONFault {
        .malformed(offset: offset, reason: "half of a surrogate pair")
    }

    private mutating func scanFourDigits() throws(JSONFault) -> UInt16 {
        var unit: UInt16 = 0
        for _ in 0..<4 {
            guard let digit = HexDigit.value(peek) else { throw expected("hexadecimal digit") }
            unit = unit << 4 | UInt16(digit)
            cursor += 1
        }
        return unit
    }

    /// Steps over a scalar of two to four bytes: Table 3-7 of the Unicode Standard, so neither overlong forms nor
    /// surrogates nor anything above U+10FFFF.
    private mutating func scanMultiByteScalar() throws(JSONFault) {
        let second: ClosedRange<UInt8>
        let length: Int
        switch text[cursor] {
        case 0xC2...0xDF: (length, second) = (2, 0x80...0xBF)
        case 0xE0: (length, second) = (3, 0xA0...0xBF)
        case 0xED: (length, second) = (3, 0x80...0x9F)
        case 0xE1...0xEF: (length, second) = (3, 0x80...0xBF)
        case 0xF0: (length, second) = (4, 0x90...0xBF)
        case 0xF1...0xF3: (length, second) = (4, 0x80...0xBF)
        case 0xF4: (length, second) = (4, 0x80...0x8F)
        default: throw malformed("invalid UTF-8")
        }
        guard text.count - cursor >= length, second.contains(text[cursor + 1]) else {
            throw malformed("invalid UTF-8")
        }
        for index in 2..<max(2, length) where text[cursor + index] & 0xC0 != 0x80 {
            throw malformed("invalid UTF-8")
        }
        cursor += length
    }
}
