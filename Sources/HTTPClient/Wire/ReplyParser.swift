import NIOCore
import NIOHTTP1

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#endif

/// Cuts the bytes of a connection into replies, strictly (RFC 9112).
///
/// It has no I/O and no clock: bytes go in, events come out. What two implementations could read in two ways is a
/// fault: a bare CR or LF, white space before the status, control characters, two lengths, a length beside chunks, an
/// unknown transfer coding. Two leniencies that RFC 9112 asks of a proxy are kept: white space before a field's colon
/// is taken away (§5.1), and a folded line becomes one (§5.2).
struct ReplyParser {
    enum Event {
        /// A head, interim or final.
        case head(ReceivedHead)
        /// The next bytes of the body.
        case body(ByteBuffer)
        /// The end of a final reply, with its trailer section where one came.
        case end(HTTPHeaders?)
    }

    private enum State {
        /// No reply is expected.
        case idle
        case head
        case fixed(remainingBytes: Int64)
        case chunkLine
        case chunk(remainingBytes: Int64)
        case chunkEnd
        case trailers
        case untilClose
        /// The body is complete, and that is still to be said.
        case ending
        case failed(ReplyFault)
    }

    private let limits: ReplyLimits
    private var state = State.idle
    private var isHead = false
    private var interimReplies = 0
    /// Bytes of the section under way in which ends of lines have been looked for.
    private var scannedBytes = 0
    /// Where the line under way begins, from the section's beginning.
    private var lineStart = 0

    init(limits: ReplyLimits) {
        self.limits = limits
    }

    /// Whether a reply is expected or under way.
    var isBusy: Bool { if case .idle = self.state { false } else { true } }

    /// Expects the reply to a request.
    ///
    /// - Parameter isHead: Whether the request is a HEAD, whose reply has no body whatever its fields say.
    mutating func begin(isHead: Bool) {
        self.state = .head
        self.isHead = isHead
        self.interimReplies = 0
        self.startSection()
    }

    /// Takes what can be taken from the front of `bytes`; `nil` when more has to come first.
    mutating func next(_ bytes: inout ByteBuffer) throws(ReplyFault) -> Event? {
        do throws(ReplyFault) {
            return try self.step(&bytes)
        } catch {
            self.state = .failed(error)
            throw error
        }
    }

    /// Takes the end of the connection: the end of a reply that only this ends, or a fault.
    mutating func finish() throws(ReplyFault) -> Event? {
        switch self.state {
        case .idle: return nil
        case .untilClose, .ending:
            self.state = .idle
            return .end(nil)
        case .head: throw .truncated("closed the connection before a whole reply head")
        case .failed(let fault): throw fault
        case .fixed, .chunkLine, .chunk, .chunkEnd, .trailers: throw .truncated("closed the connection within a reply")
        }
    }

    private mutating func startSection() {
        self.scannedBytes = 0
        self.lineStart = 0
    }

    private mutating func step(_ bytes: inout ByteBuffer) throws(ReplyFault) -> Event? {
        while true {
            switch self.state {
            case .idle: return nil
            case .failed(let fault): throw fault
            case .head:
                guard let head = try self.readHead(&bytes) else { return nil }
                return .head(head)
            case .fixed(let remainingBytes):
                guard let piece = Self.take(remainingBytes, &bytes) else { return nil }
                let rest = remainingBytes - Int64(piece.readableBytes)
                self.state = rest > 0 ? .fixed(remainingBytes: rest) : .ending
                return .body(piece)
            case .untilClose:
                guard let piece = Self.take(.max, &bytes) else { return nil }
                return .body(piece)
            case .chunkLine:
                guard let length = try self.readChunkLine(&bytes) else { return nil }
                self.startSection()
                self.state = length > 0 ? .chunk(remainingBytes: length) : .trailers
            case .chunk(let remainingBytes):
                guard let piece = Self.take(remainingBytes, &bytes) else { return nil }
                let rest = remainingBytes - Int64(piece.readableBytes)
                self.state = rest > 0 ? .chunk(remainingBytes: rest) : .chunkEnd
                return .body(piece)
            case .chunkEnd:
                if let first = bytes.getInteger(at: bytes.readerIndex, as: UInt8.self), first != 0x0D {
                    throw .malformed("a chunk is longer than it says")
                }
                guard let end = bytes.readInteger(as: UInt16.self) else { return nil }
                guard end == 0x0D0A else { throw .malformed("a chunk is longer than it says") }
                self.state = .chunkLine
            case .trailers:
                guard let length = try self.sectionLength(bytes, maxBytes: self.limits.maxTrailerBytes) else {
                    return nil
                }
                let trailers = try self.readTrailers(&bytes, length)
                self.state = .idle
                return .end(trailers)
            case .ending:
                self.state = .idle
                return .end(nil)
            }
        }
    }

    /// As many of the wanted bytes as are there, or `nil` if there are none.
    private static func take(_ wanted: Int64, _ bytes: inout ByteBuffer) -> ByteBuffer? {
        let count = Int(min(wanted, Int64(bytes.readableBytes)))
        return count > 0 ? bytes.readSlice(length: count) : nil
    }

    // MARK: - Sections

    /// The length of the section of lines at the front, its empty line included, once it is whole.
    private mutating func sectionLength(_ bytes: ByteBuffer, maxBytes: Int) throws(ReplyFault) -> Int? {
        var scannedBytes = self.scannedBytes
        var lineStart = self.lineStart
        let result = bytes.withUnsafeReadableBytes { bytes -> Result<Int?, ReplyFault> in
            let limit = min(bytes.count, maxBytes)
            while let lineFeed = bytes.firstLineFeed(from: scannedBytes, to: limit) {
                guard lineFeed > lineStart, bytes[lineFeed - 1] == 0x0D else {
                    return .failure(.malformed("a line ends without a carriage return"))
                }
                if lineFeed - 1 == lineStart { return .success(lineFeed + 1) }
                scannedBytes = lineFeed + 1
                lineStart = scannedBytes
            }
            if bytes.count >= maxBytes { return .failure(.malformed("more than \(maxBytes) bytes of fields")) }
            scannedBytes = max(scannedBytes, bytes.count)
            return .success(nil)
        }
        self.scannedBytes = scannedBytes
        self.lineStart = lineStart
        return try result.get()
    }

    private mutating func readHead(_ bytes: inout ByteBuffer) throws(ReplyFault) -> ReceivedHead? {
        if bytes.readableBytes > 0, self.scannedBytes < Self.versionPrefix.utf8CodeUnitCount {
            // Whatever speaks another protocol may never send an empty line.
            let isHTTP = bytes.withUnsafeReadableBytes { bytes in
                (0..<min(bytes.count, Self.versionPrefix.utf8CodeUnitCount)).allSatisfy {
                    bytes[$0] == Self.versionPrefix.utf8Start[$0]
                }
            }
            guard isHTTP else { throw .malformed("the reply does not begin with HTTP/1.") }
        }
        guard let length = try self.sectionLength(bytes, maxBytes: self.limits.maxHeadBytes) else { return nil }
        let (maxFields, isHead) = (self.limits.maxFields, self.isHead)
        let parsed = bytes.withUnsafeReadableBytes { bytes in
            Result { () throws(ReplyFault) in
                try HeadText(bytes: UnsafeRawBufferPointer(rebasing: bytes[..<length])).head(
                    isHead: isHead,
                    maxFields: maxFields
                )
            }
        }
        bytes.moveReaderIndex(forwardBy: length)
        self.startSection()
        let head = try parsed.get()
        if head.isInterim {
            self.interimReplies += 1
            guard self.interimReplies <= self.limits.maxInterimReplies else {
                throw .malformed("more than \(self.limits.maxInterimReplies) interim replies")
            }
            return head
        }
        self.state =
            switch head.framing {
            case .bodiless, .contentLength(0): .ending
            case .contentLength(let bytes): .fixed(remainingBytes: bytes)
            case .chunked: .chunkLine
            case .untilClose: .untilClose
            }
        return head
    }

    private static let versionPrefix: StaticString = "HTTP/1."

    private mutating func readTrailers(_ bytes: inout ByteBuffer, _ length: Int) throws(ReplyFault) -> HTTPHeaders? {
        let maxFields = self.limits.maxFields
        let parsed = bytes.withUnsafeReadableBytes { bytes in
            Result { () throws(ReplyFault) in
                try HeadText(bytes: UnsafeRawBufferPointer(rebasing: bytes[..<length])).trailers(maxFields: maxFields)
            }
        }
        bytes.moveReaderIndex(forwardBy: length)
        self.startSection()
        return try parsed.get()
    }

    /// The length that a chunk's first line names (RFC 9112 §7.1); its extensions are of no interest.
    private mutating func readChunkLine(_ bytes: inout ByteBuffer) throws(ReplyFault) -> Int64? {
        let (from, maxBytes) = (self.scannedBytes, self.limits.maxChunkLineBytes)
        let parsed = bytes.withUnsafeReadableBytes { bytes -> Result<(length: Int64, bytes: Int)?, ReplyFault> in
            let limit = min(bytes.count, maxBytes)
            guard let lineFeed = bytes.firstLineFeed(from: from, to: limit) else {
                if bytes.count >= maxBytes {
                    return .failure(.malformed("more than \(maxBytes) bytes of a chunk's line"))
                }
                return .success(nil)
            }
            guard lineFeed > 0, bytes[lineFeed - 1] == 0x0D else {
                return .failure(.malformed("a line ends without a carriage return"))
            }
            guard let length = Self.chunkLength(UnsafeRawBufferPointer(rebasing: bytes[..<(lineFeed - 1)])) else {
                return .failure(.malformed("a chunk has no valid length"))
            }
            return .success((length, lineFeed + 1))
        }
        guard let (length, lineBytes) = try parsed.get() else {
            self.scannedBytes = bytes.readableBytes
            return nil
        }
        bytes.moveReaderIndex(forwardBy: lineBytes)
        return length
    }

    private static func chunkLength(_ line: UnsafeRawBufferPointer) -> Int64? {
        var length: Int64 = 0
        var index = 0
        while index < line.count, let digit = self.hexDigit(line[index]) {
            // Sixteen digits are more than any body has, and would overflow.
            guard index < 15 else { return nil }
            length = length << 4 | digit
            index += 1
        }
        guard index > 0 else { return nil }
        while index < line.count, line[index] == 0x20 || line[index] == 0x09 { index += 1 }
        guard index < line.count else { return length }
        guard line[index] == UInt8(ascii: ";") else { return nil }
        for byte in line[index...] where byte < 0x20 ? byte != 0x09 : byte == 0x7F { return nil }
        return length
    }

    private static func hexDigit(_ byte: UInt8) -> Int64? {
        switch byte {
        case 0x30...0x39: Int64(byte - 0x30)
        case 0x41...0x46: Int64(byte - 0x41 + 10)
        case 0x61...0x66: Int64(byte - 0x61 + 10)
        default: nil
        }
    }
}

extension UnsafeRawBufferPointer {
    /// The index of the first line feed in a range.
    fileprivate func firstLineFeed(from start: Int, to end: Int) -> Int? {
        guard start < end, let base = self.baseAddress else { return nil }
        guard let found = memchr(base + start, 0x0A, end - start) else { return nil }
        return UnsafeRawPointer(found) - base
    }
}
