/// A cursor over the bytes of a JSON text that takes one token at a time (RFC 8259 §2, §6).
///
/// The bytes must outlive the scanner, which does not leave the call that they were lent to.
struct JSONScanner {
    let text: UnsafeRawBufferPointer
    var cursor = 0

    init(_ text: UnsafeRawBufferPointer) {
        self.text = text
    }

    /// The byte at the cursor, 0 at the end: no JSON token holds a NUL.
    @inline(__always)
    var peek: UInt8 { cursor < text.count ? text[cursor] : 0 }

    func malformed(_ reason: String) -> JSONFault { .malformed(offset: cursor, reason: reason) }

    /// The fault of finding something else than what was expected at the cursor.
    func expected(_ what: String) -> JSONFault {
        malformed(cursor < text.count ? "\(what) expected" : "\(what) expected, but the text ends")
    }

    @inline(__always)
    mutating func skipWhitespace() {
        while cursor < text.count {
            switch text[cursor] {
            case UInt8(ascii: " "), UInt8(ascii: "\n"), UInt8(ascii: "\r"), UInt8(ascii: "\t"): cursor += 1
            default: return
            }
        }
    }

    /// Steps over `byte` if it is at the cursor.
    @inline(__always)
    mutating func take(_ byte: UInt8) -> Bool {
        guard cursor < text.count, text[cursor] == byte else { return false }
        cursor += 1
        return true
    }

    /// Steps over `true`, `false` or `null`.
    mutating func scanLiteral(_ literal: StaticString) throws(JSONFault) {
        for index in 0..<literal.utf8CodeUnitCount where !take(literal.utf8Start[index]) {
            throw malformed("unknown word")
        }
    }

    /// Steps over a number and tells whether it has neither fraction nor exponent.
    mutating func scanNumber() throws(JSONFault) -> Bool {
        _ = take(UInt8(ascii: "-"))
        if take(UInt8(ascii: "0")) {
            if isDigit(peek) { throw malformed("number with a leading zero") }
        } else {
            try scanDigits()
        }
        var isInteger = true
        if take(UInt8(ascii: ".")) {
            isInteger = false
            try scanDigits()
        }
        if take(UInt8(ascii: "e")) || take(UInt8(ascii: "E")) {
            isInteger = false
            if !take(UInt8(ascii: "+")) { _ = take(UInt8(ascii: "-")) }
            try scanDigits()
        }
        return isInteger
    }

    private mutating func scanDigits() throws(JSONFault) {
        guard isDigit(peek) else { throw expected("digit") }
        while isDigit(peek) { cursor += 1 }
    }

    private func isDigit(_ byte: UInt8) -> Bool { byte &- UInt8(ascii: "0") < 10 }
}
