/// A dictionary of structured fields (RFC 9651 §3.2, §4.2.2), as far as caching needs it.
///
/// Whoever breaks the grammar anywhere has said nothing at all.
struct StructuredDictionary {
    /// What a member says.
    enum Value: Equatable {
        case boolean(Bool)
        /// An integer or decimal, as it is written.
        case number([UInt8])
        /// A token, string or date, as it is written, a string without its quotes.
        case text([UInt8])
        /// An inner list, byte sequence or display string, of which no directive knows anything.
        case other
    }

    /// Of several members with one key the last.
    private(set) var members: [(key: String, value: Value)] = []

    private var rest: ArraySlice<UInt8>

    /// Reads all lines of a field as one; nil for what is no dictionary.
    init?(_ lines: [String]) {
        rest = Array(lines.joined(separator: ", ").utf8)[...]
        skip { $0 == 0x20 }
        while !rest.isEmpty {
            guard let key = readKey(), let value = readMember() else { return nil }
            members.removeAll { $0.key == key }
            members.append((key, value))
            skip(\.isOptionalWhitespace)
            guard !rest.isEmpty else { return }
            guard take(",") else { return nil }
            skip(\.isOptionalWhitespace)
            // A comma promises another member.
            guard !rest.isEmpty else { return nil }
        }
    }

    // MARK: - Parts

    private mutating func readMember() -> Value? {
        guard take("=") else { return readParameters() ? .boolean(true) : nil }
        let value = rest.first == UInt8(ascii: "(") ? readInnerList() : readItem()
        return readParameters() ? value : nil
    }

    private mutating func readInnerList() -> Value? {
        guard take("(") else { return nil }
        while true {
            skip { $0 == 0x20 }
            if take(")") { return .other }
            guard readItem() != nil, readParameters() else { return nil }
            guard rest.first == 0x20 || rest.first == UInt8(ascii: ")") else { return nil }
        }
    }

    /// Whether what follows are parameters, or none; they mean nothing here.
    private mutating func readParameters() -> Bool {
        while take(";") {
            skip { $0 == 0x20 }
            guard readKey() != nil else { return false }
            if take("="), readItem() == nil { return false }
        }
        return true
    }

    private mutating func readKey() -> String? {
        guard let first = rest.first, first.isLowercaseLetter || first == UInt8(ascii: "*") else { return nil }
        let key = rest.prefix { $0.isLowercaseLetter || $0.isDigit || "_-.*".utf8.contains($0) }
        rest = rest[key.endIndex...]
        return String(decoding: key, as: UTF8.self)
    }

    private mutating func readItem() -> Value? {
        switch rest.first {
        case UInt8(ascii: "\"")?: return readString().map { .text($0) }
        case UInt8(ascii: "?")?: return readBoolean()
        case UInt8(ascii: ":")?: return readByteSequence()
        case UInt8(ascii: "%")?:
            rest.removeFirst()
            return readString() == nil ? nil : .other
        case UInt8(ascii: "@")?:
            rest.removeFirst()
            return readNumber().map { .text(Array("@".utf8) + $0) }
        case let first? where first.isDigit || first == UInt8(ascii: "-"): return readNumber().map { .number($0) }
        case let first? where first.isLetter || first == UInt8(ascii: "*"):
            let token = rest.prefix { $0.isTokenByte || $0 == UInt8(ascii: ":") || $0 == UInt8(ascii: "/") }
            rest = rest[token.endIndex...]
            return .text(Array(token))
        default: return nil
        }
    }

    private mutating func readNumber() -> [UInt8]? {
        let sign = take("-") ? [UInt8(ascii: "-")] : []
        let whole = takeDigits(atMost: 15)
        guard !whole.isEmpty else { return nil }
        guard take(".") else { return sign + whole }
        let fraction = takeDigits(atMost: 3)
        guard whole.count <= 12, !fraction.isEmpty else { return nil }
        return sign + whole + [UInt8(ascii: ".")] + fraction
    }

    private mutating func takeDigits(atMost count: Int) -> [UInt8] {
        let digits = rest.prefix(count).prefix(while: \.isDigit)
        rest = rest[digits.endIndex...]
        return Array(digits)
    }

    private mutating func readString() -> [UInt8]? {
        guard take("\"") else { return nil }
        var text: [UInt8] = []
        while let byte = rest.popFirst() {
            switch byte {
            case UInt8(ascii: "\""): return text
            case UInt8(ascii: "\\"):
                guard let next = rest.popFirst(), next == UInt8(ascii: "\"") || next == UInt8(ascii: "\\") else {
                    return nil
                }
                text.append(next)
            case 0x20..<0x7F: text.append(byte)
            default: return nil
            }
        }
        return nil
    }

    private mutating func readBoolean() -> Value? {
        guard take("?"), let digit = rest.popFirst() else { return nil }
        switch digit {
        case UInt8(ascii: "1"): return .boolean(true)
        case UInt8(ascii: "0"): return .boolean(false)
        default: return nil
        }
    }

    private mutating func readByteSequence() -> Value? {
        guard take(":"), let end = rest.firstIndex(of: UInt8(ascii: ":")) else { return nil }
        let content = rest[..<end]
        rest = rest[(end + 1)...]
        return content.allSatisfy { $0.isLetter || $0.isDigit || "+/=".utf8.contains($0) } ? .other : nil
    }

    // MARK: - Bytes

    private mutating func take(_ character: Unicode.Scalar) -> Bool {
        guard rest.first == UInt8(ascii: character) else { return false }
        rest.removeFirst()
        return true
    }

    private mutating func skip(_ isSkipped: (UInt8) -> Bool) { rest = rest.drop(while: isSkipped) }
}

extension UInt8 {
    fileprivate var isLowercaseLetter: Bool { self >= 0x61 && self <= 0x7A }

    fileprivate var isLetter: Bool { isLowercaseLetter || self >= 0x41 && self <= 0x5A }
}
