/// What the fields of a head say of the body's end and of the connection's (RFC 9112 §6.3, §9.3).
struct FramingFacts {
    private var contentLength: Int64?
    /// The transfer codings in order; `nil` without the field.
    private var codings: [Coding]?
    private var saysClose = false
    private var saysKeepAlive = false
    private(set) var keepAliveSeconds: Int64?
    /// Whether a field that matters here goes on in another line.
    var isFolded = false

    private enum Coding { case chunked, identity, other }

    /// Whether a field of that name matters here.
    static func matters(_ name: String) -> Bool {
        switch name.lowercased() {
        case "content-length", "transfer-encoding", "connection", "keep-alive": true
        default: false
        }
    }

    /// Notes a field if it matters.
    mutating func note(_ name: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer) throws(ReplyFault) {
        switch name.count {
        case 14 where name.isSameName(as: "content-length"): try self.noteLength(value)
        case 17 where name.isSameName(as: "transfer-encoding"):
            var codings = self.codings ?? []
            for element in value.listElements {
                codings.append(
                    element.isSameName(as: "chunked")
                        ? .chunked : element.isSameName(as: "identity") ? .identity : .other
                )
            }
            self.codings = codings
        case 10 where name.isSameName(as: "connection"):
            for element in value.listElements {
                if element.isSameName(as: "close") { self.saysClose = true }
                if element.isSameName(as: "keep-alive") { self.saysKeepAlive = true }
            }
        case 10 where name.isSameName(as: "keep-alive"):
            for element in value.listElements {
                guard let equals = element.firstIndex(of: UInt8(ascii: "=")),
                    UnsafeRawBufferPointer(rebasing: element[..<equals]).trimmedAtEnd.isSameName(as: "timeout")
                else { continue }
                let number = UnsafeRawBufferPointer(rebasing: element[(equals + 1)...]).trimmedAtStart
                if let seconds = Self.decimal(number) { self.keepAliveSeconds = seconds }
            }
        default: break
        }
    }

    /// One number, or several that are the same (RFC 9110 §8.6).
    private mutating func noteLength(_ value: UnsafeRawBufferPointer) throws(ReplyFault) {
        for element in value.split(separator: UInt8(ascii: ","), omittingEmptySubsequences: false) {
            let digits = UnsafeRawBufferPointer(rebasing: element).trimmedAtStart.trimmedAtEnd
            guard let length = Self.decimal(digits) else { throw .malformed("the Content-Length is no number") }
            guard self.contentLength == nil || self.contentLength == length else {
                throw .malformed("the reply has two lengths")
            }
            self.contentLength = length
        }
    }

    private static func decimal(_ digits: UnsafeRawBufferPointer) -> Int64? {
        guard !digits.isEmpty else { return nil }
        var number: Int64 = 0
        for byte in digits {
            guard (0x30...0x39).contains(byte) else { return nil }
            let (tens, isTooLarge) = number.multipliedReportingOverflow(by: 10)
            let (sum, hasCarried) = tens.addingReportingOverflow(Int64(byte - 0x30))
            guard !isTooLarge, !hasCarried else { return nil }
            number = sum
        }
        return number
    }

    /// How the end of the body is known, in the order of RFC 9112 §6.3.
    func framing(status: Int, isHead: Bool, minorVersion: Int) throws(ReplyFault) -> ReceivedHead.Framing {
        guard !self.isFolded else { throw .malformed("a field that frames the reply is folded") }
        if let codings = self.codings {
            // Both are what response splitting is made of (§6.1, §6.3).
            guard minorVersion > 0 else { throw .malformed("an HTTP/1.0 reply has a Transfer-Encoding") }
            guard self.contentLength == nil else { throw .malformed("the reply has a length and a transfer coding") }
            if isHead || status < 200 || status == 204 || status == 304 { return .bodiless }
            switch codings {
            case [.chunked]: return .chunked
            case [.identity], []: return .untilClose
            default: throw .malformed("the reply has a transfer coding that was not asked for")
            }
        }
        if isHead || status < 200 || status == 204 || status == 304 { return .bodiless }
        return self.contentLength.map { .contentLength($0) } ?? .untilClose
    }

    /// Whether the connection outlives the reply.
    func isPersistent(minorVersion: Int) -> Bool {
        !self.saysClose && (minorVersion > 0 || self.saysKeepAlive)
    }
}

extension UnsafeRawBufferPointer {
    /// The elements of a comma-separated list, empty ones left out.
    fileprivate var listElements: [UnsafeRawBufferPointer] {
        self.split(separator: UInt8(ascii: ",")).map {
            UnsafeRawBufferPointer(rebasing: $0).trimmedAtStart.trimmedAtEnd
        }.filter { !$0.isEmpty }
    }
}
