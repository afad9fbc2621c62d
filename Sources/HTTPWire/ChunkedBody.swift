package import NIOCore

/// Reads a body that comes in chunks (RFC 9112 §7.1): sizes, extensions, data, and the trailer section.
///
/// Extensions and trailer fields are checked and thrown away; together they are bounded, whatever the number of chunks.
package struct ChunkedBody: Sendable {
    /// What comes next.
    package enum Step: Sendable {
        case piece(ByteBuffer)
        case end
    }

    private enum Phase {
        case size
        case data(left: Int)
        case dataEnd
        case trailers
        case over
    }

    private var phase = Phase.size
    private var scanner = LineScanner()
    /// What extensions and trailer fields may still take.
    private var framingBytesLeft: Int

    /// Begins in front of the first chunk.
    package init(maxFramingBytes: Int) { framingBytesLeft = maxFramingBytes }

    /// Takes the next step from the front of the bytes; nil when they end before it.
    package mutating func next(_ bytes: inout ByteBuffer) throws(RequestFault) -> Step? {
        while true {
            switch phase {
            case .size:
                guard let size = try readLine(&bytes, Self.chunkSize) else { return nil }
                phase = size == 0 ? .trailers : .data(left: size)
            case .data(let left):
                guard let piece = bytes.readSlice(length: min(left, bytes.readableBytes)), piece.readableBytes > 0
                else { return nil }
                phase = left == piece.readableBytes ? .dataEnd : .data(left: left - piece.readableBytes)
                return .piece(piece)
            case .dataEnd:
                guard bytes.readableBytes >= 2 else {
                    if let first = bytes.getInteger(at: bytes.readerIndex, as: UInt8.self), first != 0x0D {
                        throw .malformed
                    }
                    return nil
                }
                guard bytes.readInteger(as: UInt16.self) == 0x0D0A else { throw .malformed }
                phase = .size
            case .trailers:
                guard let isEnd = try readLine(&bytes, Self.isTrailerEnd) else { return nil }
                if isEnd { phase = .over }
            case .over:
                return .end
            }
        }
    }

    /// Reads one line, if it is complete, and takes it from the bytes.
    private mutating func readLine<Value>(
        _ bytes: inout ByteBuffer,
        _ read: (Range<Int>, UnsafeRawBufferPointer) throws(RequestFault) -> (value: Value, framingBytes: Int)
    ) throws(RequestFault) -> Value? {
        // Sixteen digits are enough for every size; the rest of a line is framing.
        let mostBytes = framingBytesLeft + 18
        let outcome = bytes.withUnsafeReadableBytes {
            bytes -> Result<(value: Value, framingBytes: Int)?, RequestFault> in
            do throws(RequestFault) {
                let window = UnsafeRawBufferPointer(rebasing: bytes.prefix(mostBytes))
                guard let line = try scanner.next(in: window) else { return .success(nil) }
                return .success(try read(line, window))
            } catch {
                return .failure(error)
            }
        }
        guard let line = try outcome.get() else {
            guard bytes.readableBytes <= mostBytes else { throw .headTooLarge }
            return nil
        }
        guard line.framingBytes <= framingBytesLeft else { throw .headTooLarge }
        framingBytesLeft -= line.framingBytes
        bytes.moveReaderIndex(forwardBy: scanner.lineStart)
        scanner = LineScanner()
        return line.value
    }

    /// Reads `chunk-size [ chunk-ext ]`.
    private static func chunkSize(
        _ line: Range<Int>,
        _ bytes: UnsafeRawBufferPointer
    ) throws(RequestFault) -> (value: Int, framingBytes: Int) {
        var (size, index) = (0, line.lowerBound)
        while index < line.upperBound, let digit = bytes[index].hexDigit {
            guard size <= Int.max >> 4 else { throw .malformed }
            size = size << 4 | digit
            index += 1
        }
        // Leading zeros are legal, and no reason to read without end.
        guard index > line.lowerBound, index - line.lowerBound <= 16 else { throw .malformed }
        var extensions = ChunkExtensions(bytes: UnsafeRawBufferPointer(rebasing: bytes[index..<line.upperBound]))
        guard extensions.areValid() else { throw .malformed }
        return (size, line.upperBound - index)
    }

    /// Checks a trailer field; an empty line is the end.
    private static func isTrailerEnd(
        _ line: Range<Int>,
        _ bytes: UnsafeRawBufferPointer
    ) throws(RequestFault) -> (value: Bool, framingBytes: Int) {
        if line.isEmpty { return (true, 0) }
        _ = try FieldSection.Line(line, in: bytes)
        return (false, line.count + 2)
    }
}

/// What follows a chunk's size on its line: `*( BWS ";" BWS name [ BWS "=" BWS value ] )` (RFC 9112 §7.1.1).
///
/// All of it is checked, though none of it is used: readers that end a sloppy extension in different places see different
/// chunks.
private struct ChunkExtensions {
    let bytes: UnsafeRawBufferPointer
    private var index = 0

    init(bytes: UnsafeRawBufferPointer) { self.bytes = bytes }

    mutating func areValid() -> Bool {
        while index < bytes.count {
            skipWhitespace()
            guard take(UInt8(ascii: ";")) else { return false }
            skipWhitespace()
            guard takeToken() else { return false }
            let nameEnd = index
            skipWhitespace()
            guard take(UInt8(ascii: "=")) else {
                // White space belongs to what follows it: at the end of the line it is none of the grammar's.
                index = nameEnd
                continue
            }
            skipWhitespace()
            guard takeToken() || takeQuotedString() else { return false }
        }
        return true
    }

    private mutating func skipWhitespace() {
        while index < bytes.count, bytes[index].isOptionalWhitespace { index += 1 }
    }

    private mutating func take(_ byte: UInt8) -> Bool {
        guard index < bytes.count, bytes[index] == byte else { return false }
        index += 1
        return true
    }

    private mutating func takeToken() -> Bool {
        let start = index
        while index < bytes.count, bytes[index].isTokenByte { index += 1 }
        return index > start
    }

    /// Takes a quoted string (RFC 9110 §5.6.4).
    private mutating func takeQuotedString() -> Bool {
        guard take(UInt8(ascii: "\"")) else { return false }
        while index < bytes.count, bytes[index].isFieldContent {
            if take(UInt8(ascii: "\"")) { return true }
            if take(UInt8(ascii: "\\")) {
                guard index < bytes.count, bytes[index].isFieldContent else { return false }
            }
            index += 1
        }
        return false
    }
}

extension UInt8 {
    fileprivate var hexDigit: Int? {
        switch self {
        case 0x30...0x39: Int(self - 0x30)
        case 0x41...0x46: Int(self - 0x41 + 10)
        case 0x61...0x66: Int(self - 0x61 + 10)
        default: nil
        }
    }
}
