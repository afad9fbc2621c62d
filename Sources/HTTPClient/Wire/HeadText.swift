import NIOHTTP1

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#endif

/// The bytes of a whole head or trailer section, whose lines are known to end with CR LF.
struct HeadText {
    let bytes: UnsafeRawBufferPointer

    /// Reads the section as a reply's head.
    func head(isHead: Bool, maxFields: Int) throws(ReplyFault) -> ReceivedHead {
        guard let end = self.lineEnd(from: 0) else { throw .malformed("the reply has no status line") }
        let (minorVersion, status) = try self.statusLine(UnsafeRawBufferPointer(rebasing: self.bytes[..<end]))
        var facts = FramingFacts()
        let headers = try self.fields(from: end + 2, maxFields: maxFields, noting: &facts)
        return ReceivedHead(
            minorVersion: minorVersion,
            status: status,
            headers: headers,
            framing: try facts.framing(status: status, isHead: isHead, minorVersion: minorVersion),
            isPersistent: facts.isPersistent(minorVersion: minorVersion),
            keepAliveSeconds: facts.keepAliveSeconds
        )
    }

    /// Reads the section as a trailer section; `nil` when it is empty.
    func trailers(maxFields: Int) throws(ReplyFault) -> HTTPHeaders? {
        var facts = FramingFacts()
        let trailers = try self.fields(from: 0, maxFields: maxFields, noting: &facts)
        return trailers.isEmpty ? nil : trailers
    }

    /// Where the line from `start` ends, its CR LF not included.
    private func lineEnd(from start: Int) -> Int? {
        guard start < self.bytes.count, let base = self.bytes.baseAddress,
            let found = memchr(base + start, 0x0A, self.bytes.count - start)
        else { return nil }
        return UnsafeRawPointer(found) - base - 1
    }

    /// `HTTP/1.1 200 OK`; the reason may be missing together with the space before it.
    private func statusLine(_ line: UnsafeRawBufferPointer) throws(ReplyFault) -> (minorVersion: Int, status: Int) {
        guard line.count >= 12, (0x30...0x39).contains(line[7]), line[8] == 0x20,
            line[9...11].allSatisfy({ (0x30...0x39).contains($0) }), line.count == 12 || line[12] == 0x20
        else { throw .malformed("the status line is malformed") }
        for byte in line[12...] where byte < 0x20 ? byte != 0x09 : byte == 0x7F {
            throw .malformed("the status line has a control character")
        }
        let status = line[9...11].reduce(0) { $0 * 10 + Int($1 - 0x30) }
        guard (100...599).contains(status) else { throw .malformed("the status \(status) does not exist") }
        return (Int(line[7] - 0x30), status)
    }

    private func fields(
        from start: Int,
        maxFields: Int,
        noting facts: inout FramingFacts
    ) throws(ReplyFault) -> HTTPHeaders {
        var fields: [(String, String)] = []
        fields.reserveCapacity(16)
        var lineStart = start
        while let end = self.lineEnd(from: lineStart), end > lineStart {
            let line = UnsafeRawBufferPointer(rebasing: self.bytes[lineStart..<end])
            lineStart = end + 2
            if line[0] == 0x20 || line[0] == 0x09 {
                guard var last = fields.popLast() else { throw .malformed("the first field is folded") }
                let value = try Self.value(line)
                last.1 = last.1.isEmpty ? value.text : last.1 + " " + value.text
                fields.append(last)
                facts.isFolded = facts.isFolded || FramingFacts.matters(last.0)
                continue
            }
            guard fields.count < maxFields else { throw .malformed("more than \(maxFields) fields") }
            guard let colon = line.firstIndex(of: UInt8(ascii: ":")) else {
                throw .malformed("a field has no colon")
            }
            let name = UnsafeRawBufferPointer(rebasing: line[..<colon]).trimmedAtEnd
            guard name.count > 0, name.allSatisfy(FieldText.isTokenByte) else {
                throw .malformed("a field's name is malformed")
            }
            let value = try Self.value(UnsafeRawBufferPointer(rebasing: line[(colon + 1)...]))
            try facts.note(name, value.bytes)
            fields.append((String(decoding: name, as: UTF8.self), value.text))
        }
        return HTTPHeaders(fields)
    }

    private static func value(
        _ raw: UnsafeRawBufferPointer
    ) throws(ReplyFault) -> (text: String, bytes: UnsafeRawBufferPointer) {
        let bytes = raw.trimmedAtStart.trimmedAtEnd
        var seen: UInt8 = 0
        for byte in bytes {
            if byte < 0x20 ? byte != 0x09 : byte == 0x7F { throw .malformed("a field has a control character") }
            seen |= byte
        }
        return (FieldText.string(bytes, isASCII: seen < 0x80), bytes)
    }
}

extension UnsafeRawBufferPointer {
    /// Without the spaces and tabs at its end.
    var trimmedAtEnd: UnsafeRawBufferPointer {
        var end = self.count
        while end > 0, self[end - 1] == 0x20 || self[end - 1] == 0x09 { end -= 1 }
        return UnsafeRawBufferPointer(rebasing: self[..<end])
    }

    /// Without the spaces and tabs at its beginning.
    var trimmedAtStart: UnsafeRawBufferPointer {
        var start = 0
        while start < self.count, self[start] == 0x20 || self[start] == 0x09 { start += 1 }
        return UnsafeRawBufferPointer(rebasing: self[start...])
    }
}
