package import NIOCore
package import NIOHTTP1

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#endif

/// A header or trailer section as it came: the bytes, and where in them each name and value is.
///
/// Values are without the white space around them, which is no part of them (RFC 9110 §5.5). Nothing becomes a string
/// before it is asked for: most requests are answered without.
package struct FieldSection: Sendable {
    /// Where a field's name and value are, counted from the start of ``bytes``.
    package struct Line: Sendable {
        var nameOffset: UInt32
        var nameCount: UInt32
        /// Where the value begins.
        package var valueOffset: UInt32
        /// How long the value is.
        package var valueCount: UInt32
        /// Which field it is.
        package var field: KnownField
    }

    /// What the lines point into.
    package private(set) var bytes: ByteBuffer
    /// In order.
    package private(set) var lines: [Line]
    /// Which of the known fields there are.
    private(set) var known: KnownFields
    /// Which of the known fields stand there more than once.
    private(set) var repeated: KnownFields

    /// An empty section.
    package init() { self.init(bytes: ByteBuffer(), lines: []) }

    /// The section with these fields.
    package init(_ headers: HTTPHeaders) {
        var bytes = ByteBuffer()
        var lines: [Line] = []
        for (name, value) in headers {
            let start = bytes.writerIndex
            let nameCount = bytes.writeString(name)
            let value = Latin1.bytes(value)
            bytes.writeBytes(value)
            lines.append(
                Line(
                    nameOffset: UInt32(start),
                    nameCount: UInt32(nameCount),
                    valueOffset: UInt32(start + nameCount),
                    valueCount: UInt32(value.count),
                    field: name.isEmpty ? .other : Array(name.utf8).withUnsafeBytes { KnownField($0) }
                )
            )
        }
        self.init(bytes: bytes, lines: lines)
    }

    /// - Parameter lines: Their offsets count from the start of the readable bytes.
    init(bytes: ByteBuffer, lines: [Line]) {
        var (known, repeated): (UInt64, UInt64) = (0, 0)
        for line in lines {
            let bit: UInt64 = 1 << UInt64(line.field.rawValue)
            repeated |= known & bit
            known |= bit
        }
        self.bytes = bytes
        self.lines = lines
        self.known = KnownFields(rawValue: known)
        self.repeated = KnownFields(rawValue: repeated)
    }

    /// The same section in memory of its own, so that it does not keep what was read with it.
    package var detached: FieldSection {
        var section = self
        section.bytes = ByteBuffer(bytes: bytes.readableBytesView)
        return section
    }

    /// The bytes that keeping it takes, roughly, once it is ``detached``.
    package var memoryBytes: Int { 128 + bytes.readableBytes + lines.count * MemoryLayout<Line>.stride }

    /// Whether there is a field of this name.
    package func has(_ field: KnownField) -> Bool { known.contains(KnownFields(field)) }

    /// Whether there is more than one field of this name.
    package func hasSeveral(_ field: KnownField) -> Bool { repeated.contains(KnownFields(field)) }

    /// Whether the first value of a field has these bytes.
    package func first(_ field: KnownField, is bytes: [UInt8]) -> Bool {
        guard has(field), let line = lines.first(where: { $0.field == field }) else { return false }
        return self.bytes.withUnsafeReadableBytes { line.value(in: $0).hasBytes(bytes) }
    }

    /// Hands out the bytes of the first value of a field; nil when there is none.
    @inlinable
    package func withFirst<Result>(
        _ field: KnownField,
        _ body: (UnsafeRawBufferPointer) throws -> Result
    ) rethrows -> Result? {
        guard has(field), let line = lines.first(where: { $0.field == field }) else { return nil }
        return try bytes.withUnsafeReadableBytes { try body(line.value(in: $0)) }
    }

    /// The first value of a field (``Latin1``); nil when there is none.
    package func first(_ field: KnownField) -> String? { withFirst(field) { Latin1.text($0) } }

    /// Hands out the bytes of each value of a field, in order.
    package func forEach(_ field: KnownField, _ body: (UnsafeRawBufferPointer) throws -> Void) rethrows {
        guard has(field) else { return }
        try bytes.withUnsafeReadableBytes { bytes in
            for line in lines where line.field == field { try body(line.value(in: bytes)) }
        }
    }

    /// The values of a field (``Latin1``), in order.
    package func values(_ field: KnownField) -> [String] {
        var values: [String] = []
        forEach(field) { values.append(Latin1.text($0)) }
        return values
    }

    /// The values of the fields of a name, in order.
    ///
    /// - Parameter name: In any case.
    package func values(named name: String) -> [String] {
        let wanted = Array(name.utf8)
        return bytes.withUnsafeReadableBytes { bytes in
            lines.compactMap { line in
                let name = line.name(in: bytes)
                guard name.count == wanted.count, zip(name, wanted).allSatisfy({ $0.lowered == $1.lowered }) else {
                    return nil
                }
                return Latin1.text(line.value(in: bytes))
            }
        }
    }

    /// The members of a comma-separated list that all lines of a field make up, in lower case (RFC 9110 §5.6.1).
    package func tokens(_ field: KnownField) -> [String] {
        values(field).flatMap { $0.split(separator: ",") }.map { member in
            Latin1.text(member.utf8.trimmed).lowercased()
        }.filter { !$0.isEmpty }
    }

    /// All fields as text (``Latin1``), in order.
    package var headers: HTTPHeaders {
        var headers = HTTPHeaders()
        headers.reserveCapacity(lines.count)
        bytes.withUnsafeReadableBytes { bytes in
            for line in lines {
                headers.add(name: Latin1.text(line.name(in: bytes)), value: Latin1.text(line.value(in: bytes)))
            }
        }
        return headers
    }
}

extension FieldSection.Line {
    @inline(__always)
    func name(in bytes: UnsafeRawBufferPointer) -> UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(rebasing: bytes[Int(nameOffset)..<Int(nameOffset) + Int(nameCount)])
    }

    /// The value's bytes; `bytes` are those of the section.
    @inlinable
    package func value(in bytes: UnsafeRawBufferPointer) -> UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(rebasing: bytes[Int(valueOffset)..<Int(valueOffset) + Int(valueCount)])
    }
}

extension UnsafeRawBufferPointer {
    /// Whether these are the same bytes.
    @inline(__always)
    func hasBytes(_ other: [UInt8]) -> Bool {
        guard count == other.count, let base = baseAddress else { return count == other.count }
        return other.withUnsafeBytes { memcmp(base, $0.baseAddress!, count) == 0 }
    }
}

extension UInt8 {
    var lowered: UInt8 { self >= 0x41 && self <= 0x5A ? self | 0x20 : self }
}

extension Substring.UTF8View {
    var trimmed: Substring.UTF8View {
        var rest = self
        while let first = rest.first, first == 0x20 || first == 0x09 { rest.removeFirst() }
        while let last = rest.last, last == 0x20 || last == 0x09 { rest.removeLast() }
        return rest
    }
}
