#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#endif

/// Finds and checks the lines of a head; an incomplete line is not looked through twice.
struct LineScanner {
    /// Offset of the line that is not complete yet.
    private(set) var lineStart = 0
    private var scanned = 0

    /// The next complete line, without its end; nil when the bytes end before it.
    ///
    /// A line ends in CRLF: a bare LF is refused, as another reader might not take it for an end (RFC 9112 §2.2).
    @inline(__always)
    mutating func next(in bytes: UnsafeRawBufferPointer) throws(RequestFault) -> Range<Int>? {
        guard scanned < bytes.count, let base = bytes.baseAddress,
            let found = memchr(base + scanned, CInt(UInt8(ascii: "\n")), bytes.count - scanned)
        else {
            scanned = bytes.count
            return nil
        }
        let end = UnsafeRawPointer(found) - base
        guard end > lineStart, bytes[end - 1] == UInt8(ascii: "\r") else { throw .malformed }
        let line = lineStart..<end - 1
        lineStart = end + 1
        scanned = lineStart
        return line
    }
}

extension FieldSection.Line {
    /// Reads a field line (RFC 9112 §5); the line is within `bytes`.
    @inline(__always)
    init(_ line: Range<Int>, in bytes: UnsafeRawBufferPointer) throws(RequestFault) {
        var colon = line.lowerBound
        while colon < line.upperBound, bytes[colon].isTokenByte { colon += 1 }
        // A folded line begins with white space, and is refused here, too.
        guard colon > line.lowerBound, colon < line.upperBound, bytes[colon] == UInt8(ascii: ":") else {
            throw .malformed
        }
        var (first, end) = (colon + 1, line.upperBound)
        while first < end, bytes[first].isOptionalWhitespace { first += 1 }
        while first < end, bytes[end - 1].isOptionalWhitespace { end -= 1 }
        guard UnsafeRawBufferPointer(rebasing: bytes[first..<end]).isFieldContent else { throw .malformed }
        nameOffset = UInt32(truncatingIfNeeded: line.lowerBound)
        nameCount = UInt32(truncatingIfNeeded: colon - line.lowerBound)
        valueOffset = UInt32(truncatingIfNeeded: first)
        valueCount = UInt32(truncatingIfNeeded: end - first)
        field = KnownField(UnsafeRawBufferPointer(rebasing: bytes[line.lowerBound..<colon]))
    }
}

extension UnsafeRawBufferPointer {
    /// Whether all bytes may stand in a field value: no control characters but the tab (RFC 9110 §5.5).
    @inline(__always)
    var isFieldContent: Bool {
        var offset = 0
        while offset + 8 <= count {
            let word = loadUnaligned(fromByteOffset: offset, as: UInt64.self)
            let deleted = word ^ 0x7F7F_7F7F_7F7F_7F7F
            let suspects =
                (word &- 0x2020_2020_2020_2020) & ~word | (deleted &- 0x0101_0101_0101_0101) & ~deleted
            if suspects & 0x8080_8080_8080_8080 != 0 {
                for index in offset..<offset + 8 where !self[index].isFieldContent { return false }
            }
            offset += 8
        }
        while offset < count {
            if !self[offset].isFieldContent { return false }
            offset += 1
        }
        return true
    }
}

extension UInt8 {
    @inline(__always)
    var isFieldContent: Bool { self >= 0x20 ? self != 0x7F : self == 0x09 }

    @inline(__always)
    var isOptionalWhitespace: Bool { self == 0x20 || self == 0x09 }

    /// Whether the byte may stand in a token (RFC 9110 §5.6.2).
    @inline(__always)
    var isTokenByte: Bool {
        if (self | 0x20) &- 0x61 < 26 || self == UInt8(ascii: "-") || self &- 0x30 < 10 { return true }
        switch self {
        case UInt8(ascii: "!"), UInt8(ascii: "#"), UInt8(ascii: "$"), UInt8(ascii: "%"), UInt8(ascii: "&"),
            UInt8(ascii: "'"), UInt8(ascii: "*"), UInt8(ascii: "+"), UInt8(ascii: "."), UInt8(ascii: "^"),
            UInt8(ascii: "_"), UInt8(ascii: "`"), UInt8(ascii: "|"), UInt8(ascii: "~"):
            return true
        default:
            return false
        }
    }
}
