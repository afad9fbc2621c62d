/// One contact in a reply's bytes: where its members lie, nothing copied.
///
/// It is lent by `ContactDocument` and refers to the bytes that were read, which must outlive it.
package struct ContactObject {
    private let text: UnsafeRawBufferPointer
    private var members: [(name: JSONName, value: Range<Int>)] = []
    /// The names that were written with escapes, without them.
    private var unescapedNames: [UInt8] = []

    /// Where the value lies, which is no object if it has no members and does not begin with a brace.
    package private(set) var range = 0..<0
    /// The value of the member `id`, if that is a UUID of either case.
    package private(set) var id: UInt128?

    init(text: UnsafeRawBufferPointer) {
        self.text = text
    }

    /// The number of members.
    package var memberCount: Int { members.count }

    /// Where the value of a member lies.
    package func value(at index: Int) -> Range<Int> { members[index].value }

    /// Lends the unescaped bytes of a member's name.
    package func withName<R>(at index: Int, _ body: (UnsafeRawBufferPointer) -> R) -> R {
        let name = members[index].name
        let bytes = name.start..<name.start + name.count
        guard name.isInArena else { return body(UnsafeRawBufferPointer(rebasing: text[bytes])) }
        return unescapedNames.withUnsafeBytes { body(UnsafeRawBufferPointer(rebasing: $0[bytes])) }
    }

    /// Where a further member goes: behind the last one's value, or behind the brace.
    package var endOfMembers: Int { members.last?.value.upperBound ?? range.lowerBound + 1 }

    /// Reads the value at the reader's cursor in place of what was read before; one that is no object has no members.
    mutating func read(_ reader: inout JSONReader) throws(JSONFault) {
        members.removeAll(keepingCapacity: true)
        unescapedNames.removeAll(keepingCapacity: true)
        id = nil
        let start = reader.scanner.cursor
        if reader.isAtObject {
            try reader.readObject { name, reader throws(JSONFault) in
                let kept = keep(name, of: reader)
                let isID = reader.isName(name, "id")
                let value = try reader.skipValue()
                if isID { id = uuid(value, reader.scanner) }
                members.append((kept, value.range))
            }
        } else {
            _ = try reader.skipValue()
        }
        range = start..<reader.scanner.cursor
    }

    /// The name in a form that outlives the reader's arena.
    private mutating func keep(_ name: JSONName, of reader: JSONReader) -> JSONName {
        guard name.isInArena else { return name }
        let start = unescapedNames.count
        reader.withBytes(of: name) { unescapedNames.append(contentsOf: $0) }
        return JSONName(start: start, count: name.count, isInArena: true)
    }

    private func uuid(_ value: JSONValue, _ scanner: JSONScanner) -> UInt128? {
        guard case .string(scalarCount: UUIDText.length) = value.kind else { return nil }
        let contents = value.range.lowerBound + 1..<value.range.upperBound - 1
        if contents.count == UUIDText.length { return UUIDText.parse(text[contents]) }
        var unescaped: [UInt8] = []
        let token = JSONStringToken(contents: contents, hasEscapes: true, scalarCount: UUIDText.length)
        scanner.appendUnescaped(token, to: &unescaped)
        return UUIDText.parse(unescaped)
    }
}
