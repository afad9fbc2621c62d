import DexatelAPI

/// The bytes of header text.
extension UInt8 {
    /// Whether the byte may stand in a token (RFC 9110 §5.6.2).
    var isTokenByte: Bool {
        switch self {
        case 0x30...0x39, 0x41...0x5A, 0x61...0x7A: true
        case UInt8(ascii: "!"), UInt8(ascii: "#"), UInt8(ascii: "$"), UInt8(ascii: "%"), UInt8(ascii: "&"),
            UInt8(ascii: "'"), UInt8(ascii: "*"), UInt8(ascii: "+"), UInt8(ascii: "-"), UInt8(ascii: "."),
            UInt8(ascii: "^"), UInt8(ascii: "_"), UInt8(ascii: "`"), UInt8(ascii: "|"), UInt8(ascii: "~"):
            true
        default: false
        }
    }

    var isDigit: Bool { self >= 0x30 && self <= 0x39 }

    var isOptionalWhitespace: Bool { self == 0x20 || self == 0x09 }
}

extension ArraySlice<UInt8> {
    /// The bytes without spaces and tabs at their ends.
    var trimmed: ArraySlice<UInt8> {
        var rest = self
        while let first = rest.first, first.isOptionalWhitespace { rest.removeFirst() }
        while let last = rest.last, last.isOptionalWhitespace { rest.removeLast() }
        return rest
    }

    /// The bytes as text, ASCII letters in lower case.
    var lowercasedText: String { String(decoding: lazy.map(\.asciiLowercased), as: UTF8.self) }
}
