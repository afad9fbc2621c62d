package import NIOHTTP1

/// The head of a request: its line, its fields, and what they say of the body and of the connection (RFC 9112 §3, §6, §9).
///
/// It does not change. A class, as it is handed from one to the next a dozen times while a read is answered from memory.
package final class RequestHead: Sendable {
    /// How the end of the body is found.
    package enum BodyLength: Sendable, Equatable {
        /// So many bytes; 0 where the head says nothing of a body.
        case known(Int)
        /// In chunks.
        case chunked

        /// How many bytes it has; nil where only its end will tell.
        package var bytes: Int? { if case .known(let bytes) = self { bytes } else { nil } }
    }

    /// The method, spelled as it came where it is not one of RFC 9110's.
    package let method: HTTPMethod
    /// The request target, byte for byte (``Latin1``).
    package let target: String
    /// Whether the target is visible ASCII without a fragment, which alone may be forwarded (RFC 3986 §3.3).
    package let hasVisibleTarget: Bool
    /// Whether the client speaks HTTP/1.0; every other minor version is as good as 1.1 (RFC 9110 §2.5).
    package let isHTTP10: Bool
    /// The header section.
    package let fields: FieldSection
    /// How long the body is.
    package let body: BodyLength
    /// Whether the client lets the connection persist (RFC 9112 §9.3).
    package let keepsAlive: Bool

    init(
        method: HTTPMethod,
        target: String,
        hasVisibleTarget: Bool,
        isHTTP10: Bool,
        fields: FieldSection,
        body: BodyLength,
        keepsAlive: Bool
    ) {
        self.method = method
        self.target = target
        self.hasVisibleTarget = hasVisibleTarget
        self.isHTTP10 = isHTTP10
        self.fields = fields
        self.body = body
        self.keepsAlive = keepsAlive
    }

    /// A head that did not come over a connection; its fields are taken at their word.
    package convenience init(
        _ method: HTTPMethod,
        _ target: String,
        _ headers: HTTPHeaders = [:],
        isHTTP10: Bool = false
    ) {
        let fields = FieldSection(headers)
        self.init(
            method: method,
            target: target,
            hasVisibleTarget: target.utf8.allSatisfy(\.isVisibleInTarget),
            isHTTP10: isHTTP10,
            fields: fields,
            body: (try? Self.bodyLength(fields, isHTTP10: isHTTP10)) ?? .known(0),
            keepsAlive: Self.keepsAlive(fields, isHTTP10: isHTTP10)
        )
    }

    /// The same head in memory of its own, so that a request that takes long does not keep what was read with it.
    package var detached: RequestHead { with(target: target, fields: fields.detached) }

    /// The same head for another spelling of its target.
    package func with(target: String) -> RequestHead { with(target: target, fields: fields) }

    private func with(target: String, fields: FieldSection) -> RequestHead {
        RequestHead(
            method: method,
            target: target,
            hasVisibleTarget: hasVisibleTarget,
            isHTTP10: isHTTP10,
            fields: fields,
            body: body,
            keepsAlive: keepsAlive
        )
    }

    /// The header section as text (``Latin1``).
    package var headers: HTTPHeaders { fields.headers }

    /// Whether the client holds its body back until it is asked for it (RFC 9110 §10.1.1).
    package var expectsContinue: Bool {
        guard !isHTTP10, fields.has(.expect) else { return false }
        return fields.tokens(.expect).contains("100-continue")
    }
}

extension RequestHead {
    /// What the fields say of the body's length (RFC 9112 §6.3); whatever two readers could understand differently is refused.
    static func bodyLength(_ fields: FieldSection, isHTTP10: Bool) throws(RequestFault) -> BodyLength {
        if fields.has(.transferEncoding) {
            // With both, one of the two is a lie, and the next hop might believe the other one. HTTP/1.0 has no transfer
            // codings: whoever passed the message on may have taken it to end elsewhere (§6.1).
            guard !fields.has(.contentLength), !isHTTP10 else { throw .malformed }
            let codings = fields.values(.transferEncoding).joined(separator: ",")
                .split(separator: ",", omittingEmptySubsequences: false)
                .map { Latin1.text($0.utf8.trimmed).lowercased() }
            // Only the last coding's end can be found, and only that of chunked is known.
            guard codings.last == "chunked" else { throw .malformed }
            let others = codings.dropLast()
            guard others.allSatisfy({ !$0.isEmpty && $0 != "chunked" }) else { throw .malformed }
            guard others.isEmpty else { throw .codingNotSupported }
            return .chunked
        }
        guard fields.has(.contentLength) else { return .known(0) }
        guard !fields.hasSeveral(.contentLength),
            let length = fields.withFirst(.contentLength, Self.decimal).flatMap({ $0 })
        else { throw .malformed }
        return .known(length)
    }

    /// Reads digits, and nothing else, as a number that an `Int` holds.
    private static func decimal(_ digits: UnsafeRawBufferPointer) -> Int? {
        guard !digits.isEmpty else { return nil }
        var number = 0
        for digit in digits {
            guard digit >= 0x30, digit <= 0x39 else { return nil }
            let (product, isTooLarge) = number.multipliedReportingOverflow(by: 10)
            let (sum, overflows) = product.addingReportingOverflow(Int(digit - 0x30))
            guard !isTooLarge, !overflows else { return nil }
            number = sum
        }
        return number
    }

    static func keepsAlive(_ fields: FieldSection, isHTTP10: Bool) -> Bool {
        guard fields.has(.connection) else { return !isHTTP10 }
        let options = fields.tokens(.connection)
        if options.contains("close") { return false }
        guard isHTTP10 else { return true }
        return options.contains("keep-alive")
    }
}
