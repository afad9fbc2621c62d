/// Reads a JSON text strictly by RFC 8259, value by value, without building anything.
///
/// The caller takes the members that it wants; `skipValue` judges the rest. The bytes must outlive the reader, which
/// does not leave the call that they were lent to.
struct JSONReader {
    private(set) var scanner: JSONScanner
    private var depth = 0
    private let maxNesting: Int
    private let refusesDuplicates: Bool
    /// Names that had escapes, unescaped, of the objects that are open.
    private(set) var arena: [UInt8] = []

    init(_ text: UnsafeRawBufferPointer, maxNesting: Int, refusesDuplicates: Bool) {
        scanner = JSONScanner(text)
        scanner.skipWhitespace()
        self.maxNesting = maxNesting
        self.refusesDuplicates = refusesDuplicates
    }

    /// Whether an object begins at the cursor, which stands on a value.
    var isAtObject: Bool { scanner.peek == UInt8(ascii: "{") }

    /// Whether an array begins at the cursor, which stands on a value.
    var isAtArray: Bool { scanner.peek == UInt8(ascii: "[") }

    /// Refuses anything but whitespace after the top value, which was read.
    mutating func finish() throws(JSONFault) {
        scanner.skipWhitespace()
        guard scanner.cursor == scanner.text.count else { throw scanner.malformed("something after the end") }
    }

    /// Steps over one value and all that is in it.
    mutating func skipValue() throws(JSONFault) -> JSONValue {
        let start = scanner.cursor
        let kind: JSONValue.Kind
        switch scanner.peek {
        case UInt8(ascii: "\""):
            kind = .string(scalarCount: try scanner.scanString().scalarCount)
        case UInt8(ascii: "{"):
            try readObject { _, reader throws(JSONFault) in _ = try reader.skipValue() }
            kind = .object
        case UInt8(ascii: "["):
            try readArray { _, reader throws(JSONFault) in _ = try reader.skipValue() }
            kind = .array
        case UInt8(ascii: "t"):
            try scanner.scanLiteral("true")
            kind = .boolean
        case UInt8(ascii: "f"):
            try scanner.scanLiteral("false")
            kind = .boolean
        case UInt8(ascii: "n"):
            try scanner.scanLiteral("null")
            kind = .null
        case UInt8(ascii: "-"), UInt8(ascii: "0")...UInt8(ascii: "9"):
            kind = .number(isInteger: try scanner.scanNumber())
        default:
            throw scanner.expected("value")
        }
        return JSONValue(kind: kind, range: start..<scanner.cursor)
    }

    /// Reads an object; `member` gets each name with the cursor on its value, which it must read.
    mutating func readObject(
        _ member: (JSONName, inout JSONReader) throws(JSONFault) -> Void
    ) throws(JSONFault) {
        try enter()
        let arenaStart = arena.count
        var names = JSONNames()
        if !scanner.take(UInt8(ascii: "}")) {
            repeat {
                scanner.skipWhitespace()
                let name = keep(try scanner.scanString())
                if refusesDuplicates, names.insert(name, in: self) { throw duplicate(name) }
                scanner.skipWhitespace()
                guard scanner.take(UInt8(ascii: ":")) else { throw scanner.expected("colon") }
                scanner.skipWhitespace()
                try member(name, &self)
                scanner.skipWhitespace()
            } while scanner.take(UInt8(ascii: ","))
            guard scanner.take(UInt8(ascii: "}")) else { throw scanner.expected("comma or closing brace") }
            if let name = names.duplicate(in: self) { throw duplicate(name) }
        }
        arena.removeLast(arena.count - arenaStart)
        depth -= 1
    }

    /// Reads an array; `element` gets each index with the cursor on its value, which it must read.
    mutating func readArray(
        _ element: (Int, inout JSONReader) throws(JSONFault) -> Void
    ) throws(JSONFault) {
        try enter()
        if !scanner.take(UInt8(ascii: "]")) {
            var index = 0
            repeat {
                scanner.skipWhitespace()
                try element(index, &self)
                index += 1
                scanner.skipWhitespace()
            } while scanner.take(UInt8(ascii: ","))
            guard scanner.take(UInt8(ascii: "]")) else { throw scanner.expected("comma or closing bracket") }
        }
        depth -= 1
    }

    /// Steps over an opening bracket, and to what follows it.
    private mutating func enter() throws(JSONFault) {
        depth += 1
        guard depth <= maxNesting else { throw .tooDeep }
        scanner.cursor += 1
        scanner.skipWhitespace()
    }

    private mutating func keep(_ token: JSONStringToken) -> JSONName {
        guard token.hasEscapes else {
            return JSONName(start: token.contents.lowerBound, count: token.contents.count, isInArena: false)
        }
        let start = arena.count
        scanner.appendUnescaped(token, to: &arena)
        return JSONName(start: start, count: arena.count - start, isInArena: true)
    }

    private func duplicate(_ name: JSONName) -> JSONFault { .duplicateMember(string(of: name)) }
}
