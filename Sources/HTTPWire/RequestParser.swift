package import NIOCore
import NIOHTTP1

/// Reads requests from the bytes of a connection (RFC 9112).
///
/// It hands out one part at a time, when it is asked, so that what a client pipelines waits as the bytes that came. An offer
/// to upgrade is nothing special: the relay accepts none, and the next request follows (RFC 9110 §7.8).
package struct RequestParser: ~Copyable {
    /// A part of a request.
    package enum Part: Sendable {
        case head(RequestHead)
        case body(ByteBuffer)
        /// The request is complete; a trailer section was checked, and is not handed out.
        case end
    }

    private enum Phase {
        case head
        case body(left: Int)
        case chunks
        case failed(RequestFault)
    }

    /// The most bytes of a head, of a trailer section, and of the framing of all chunks of a body but for their sizes.
    private let maxHeadBytes: Int
    private var phase = Phase.head
    private var scanner = LineScanner()
    private var requestLine: RequestLine?
    /// Of the head that is being read; its memory is used again for the next one.
    private var lines: [FieldSection.Line] = []
    private var chunks = ChunkedBody(maxFramingBytes: 0)

    /// Makes a parser for one connection.
    package init(maxHeadBytes: Int) { self.maxHeadBytes = maxHeadBytes }

    /// Whether nothing of the next request has been taken from the bytes yet.
    package var isBetweenRequests: Bool {
        if case .head = phase { true } else { false }
    }

    /// Takes the next part from the front of the bytes; nil when they end before it.
    ///
    /// - Parameter bytes: What has come and was not taken yet; to be handed over again, with what comes next behind it.
    /// - Throws: Why there is no next part; the same again on each later call.
    package mutating func next(_ bytes: inout ByteBuffer) throws(RequestFault) -> Part? {
        do throws(RequestFault) {
            switch phase {
            case .head:
                guard let head = try readHead(&bytes) else { return nil }
                switch head.body {
                case .known(let length):
                    phase = .body(left: length)
                case .chunked:
                    chunks = ChunkedBody(maxFramingBytes: maxHeadBytes)
                    phase = .chunks
                }
                return .head(head)
            case .body(left: 0):
                phase = .head
                return .end
            case .body(let left):
                guard let piece = bytes.readSlice(length: min(left, bytes.readableBytes)), piece.readableBytes > 0
                else { return nil }
                phase = .body(left: left - piece.readableBytes)
                return .body(piece)
            case .chunks:
                switch try chunks.next(&bytes) {
                case nil: return nil
                case .piece(let piece): return .body(piece)
                case .end:
                    phase = .head
                    return .end
                }
            case .failed(let fault):
                throw fault
            }
        } catch {
            phase = .failed(error)
            throw error
        }
    }

    private mutating func readHead(_ bytes: inout ByteBuffer) throws(RequestFault) -> RequestHead? {
        if requestLine == nil, scanner.lineStart == 0 { try skipEmptyLines(&bytes) }
        let outcome = bytes.withUnsafeReadableBytes { bytes -> Result<Int?, RequestFault> in
            do throws(RequestFault) { return .success(try readLines(bytes)) } catch { return .failure(error) }
        }
        guard let length = try outcome.get(), let line = requestLine else { return nil }
        let section = bytes.readSlice(length: length) ?? ByteBuffer()
        let fields = FieldSection(bytes: section, lines: lines)
        (requestLine, scanner) = (nil, LineScanner())
        lines.removeAll(keepingCapacity: true)
        return RequestHead(
            method: line.method,
            target: line.target,
            hasVisibleTarget: line.hasVisibleTarget,
            isHTTP10: line.isHTTP10,
            fields: fields,
            body: try RequestHead.bodyLength(fields, isHTTP10: line.isHTTP10),
            keepsAlive: RequestHead.keepsAlive(fields, isHTTP10: line.isHTTP10)
        )
    }

    /// Empty lines before a request are passed over, as clients of old send one behind a body (RFC 9112 §2.2).
    private func skipEmptyLines(_ bytes: inout ByteBuffer) throws(RequestFault) {
        while let first = bytes.getInteger(at: bytes.readerIndex, as: UInt8.self), first == UInt8(ascii: "\r") {
            guard let second = bytes.getInteger(at: bytes.readerIndex + 1, as: UInt8.self) else { return }
            guard second == UInt8(ascii: "\n") else { throw .malformed }
            bytes.moveReaderIndex(forwardBy: 2)
        }
    }

    /// Reads the lines that are complete; says how long the head is once its end is there.
    private mutating func readLines(_ bytes: UnsafeRawBufferPointer) throws(RequestFault) -> Int? {
        // What is beyond the bound is not looked at, so that a fault does not depend on how the bytes came.
        let isTooLarge = bytes.count > maxHeadBytes
        let bytes = UnsafeRawBufferPointer(rebasing: bytes.prefix(maxHeadBytes))
        while let line = try scanner.next(in: bytes) {
            if requestLine == nil {
                requestLine = try RequestLine(UnsafeRawBufferPointer(rebasing: bytes[line]))
            } else if line.isEmpty {
                return scanner.lineStart
            } else {
                lines.append(try FieldSection.Line(line, in: bytes))
            }
        }
        if requestLine == nil { try RequestLine.checkStart(bytes) }
        guard isTooLarge else { return nil }
        if requestLine != nil { throw .headTooLarge }
        // Without the space behind a method the target cannot be what is too long.
        throw bytes.contains(UInt8(ascii: " ")) ? .targetTooLong : .malformed
    }
}

/// The first line of a request (RFC 9112 §3).
struct RequestLine {
    let method: HTTPMethod
    let target: String
    let hasVisibleTarget: Bool
    let isHTTP10: Bool

    /// Reads a line without its end.
    init(_ line: UnsafeRawBufferPointer) throws(RequestFault) {
        var methodEnd = 0
        while methodEnd < line.count, line[methodEnd].isTokenByte { methodEnd += 1 }
        // " /x HTTP/1.1"
        let versionStart = line.count - 8
        guard methodEnd > 0, methodEnd + 1 < versionStart - 1, line[methodEnd] == UInt8(ascii: " "),
            line[versionStart - 1] == UInt8(ascii: " ")
        else { throw .malformed }
        isHTTP10 = try Self.isHTTP10(UnsafeRawBufferPointer(rebasing: line[versionStart...]))
        let target = UnsafeRawBufferPointer(rebasing: line[(methodEnd + 1)..<versionStart - 1])
        let isVisible = target.isVisibleTarget
        guard isVisible || target.allSatisfy({ $0 > 0x20 && $0 != 0x7F }) else { throw .malformed }
        hasVisibleTarget = isVisible
        self.target = isVisible ? String(decoding: target, as: UTF8.self) : Latin1.text(target)
        method = Self.method(UnsafeRawBufferPointer(rebasing: line[..<methodEnd]))
    }

    /// Refuses the beginning of an incomplete line where no method stands, as in a TLS handshake: more need not be awaited.
    static func checkStart(_ bytes: UnsafeRawBufferPointer) throws(RequestFault) {
        for (index, byte) in bytes.prefix(64).enumerated() where !byte.isTokenByte {
            guard byte == UInt8(ascii: " ") && index > 0 || byte == UInt8(ascii: "\r") && bytes.count == 1 else {
                throw .malformed
            }
            return
        }
    }

    private static func isHTTP10(_ version: UnsafeRawBufferPointer) throws(RequestFault) -> Bool {
        guard version.starts("HTTP/") else { throw .malformed }
        let (major, minor) = (version[5] &- 0x30, version[7] &- 0x30)
        guard major < 10, minor < 10, version[6] == UInt8(ascii: ".") else { throw .malformed }
        guard major == 1 else { throw .versionNotSupported }
        return minor == 0
    }

    /// The methods that the relay tells apart; every other one is kept as it is spelled (RFC 9110 §9.1).
    private static func method(_ name: UnsafeRawBufferPointer) -> HTTPMethod {
        @inline(__always)
        func isName(_ literal: StaticString) -> Bool {
            literal.utf8CodeUnitCount == name.count && name.starts(literal)
        }
        if isName("GET") { return .GET }
        if isName("PUT") { return .PUT }
        if isName("POST") { return .POST }
        if isName("HEAD") { return .HEAD }
        if isName("DELETE") { return .DELETE }
        if isName("PATCH") { return .PATCH }
        if isName("OPTIONS") { return .OPTIONS }
        if isName("CONNECT") { return .CONNECT }
        if isName("TRACE") { return .TRACE }
        return .RAW(value: String(decoding: name, as: UTF8.self))
    }
}

extension UnsafeRawBufferPointer {
    /// Whether all bytes are visible ASCII, and none of them begins a fragment; eight at a time, as targets are long.
    @inline(__always)
    fileprivate var isVisibleTarget: Bool {
        var offset = 0
        while offset + 8 <= count {
            let word = loadUnaligned(fromByteOffset: offset, as: UInt64.self)
            let fragments = word ^ 0x2323_2323_2323_2323
            // Below 0x21, above 0x7E, or a number sign; a byte above one of these may be suspected, too.
            let suspects =
                (word &- 0x2121_2121_2121_2121) & ~word | (word &+ 0x0101_0101_0101_0101) | word
                | (fragments &- 0x0101_0101_0101_0101) & ~fragments
            if suspects & 0x8080_8080_8080_8080 != 0 {
                for index in offset..<offset + 8 where !self[index].isVisibleInTarget { return false }
            }
            offset += 8
        }
        while offset < count {
            guard self[offset].isVisibleInTarget else { return false }
            offset += 1
        }
        return true
    }

    /// Whether these bytes begin with those of `literal`, which is no longer.
    @inline(__always)
    fileprivate func starts(_ literal: StaticString) -> Bool {
        for index in 0..<literal.utf8CodeUnitCount where self[index] != literal.utf8Start[index] { return false }
        return true
    }
}

extension UInt8 {
    /// Whether the byte is visible ASCII, and begins no fragment.
    @inline(__always)
    var isVisibleInTarget: Bool { self > 0x20 && self < 0x7F && self != UInt8(ascii: "#") }
}
