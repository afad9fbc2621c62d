package import DexatelAPI
package import Foundation
import HTTPWire
import NIOCore
import NIOHTTP1
import Outbox
import Upstream

/// What is wrong with a contact write, so that it is not queued.
package enum WriteFault: Error, Sendable, Equatable {
    /// It could not have come in as a request.
    case notHTTP
    /// It has fields that are never stored with a write.
    case otherFields
    /// Its body is compressed.
    case contentEncoding
    /// Its body is not said to be JSON.
    case mediaType
    /// Its body is larger than this.
    case bodyTooLarge(Int)
    /// It is conditional.
    case precondition
    /// Its `Idempotency-Key` tells no write from another.
    case idempotencyKey
    /// Its body is no Update.
    case body(ContactUpdateFault)

    /// The status of the answer to a request.
    var status: Int {
        switch self {
        case .notHTTP, .otherFields, .idempotencyKey, .body: 400
        case .contentEncoding, .mediaType: 415
        case .bodyTooLarge: 413
        case .precondition: 503
        }
    }

    /// The value of `Contact-Relay-Error`.
    package var slug: String {
        switch self {
        case .notHTTP: "not_http"
        case .otherFields: "other_fields"
        case .contentEncoding: "content_encoding"
        case .mediaType: "media_type"
        case .bodyTooLarge: "body_too_large"
        case .precondition: "precondition_not_queued"
        case .idempotencyKey: "idempotency_key_invalid"
        case .body(let fault): fault.code == nil ? "body_invalid" : "field_too_long"
        }
    }

    /// The upstream's own code for it, if it has one.
    var code: DexatelErrorCode? { if case .body(let fault) = self { fault.code } else { nil } }

    /// What is wrong, in words.
    package var message: String {
        switch self {
        case .notHTTP: "The write cannot be sent as a request: its target or a header field is malformed"
        case .otherFields: "The write has header fields that are not stored with a write"
        case .contentEncoding: "The body must not be compressed (Content-Encoding)"
        case .mediaType: "The body must be application/json"
        case .bodyTooLarge(let most): "The body is larger than \(most) bytes"
        case .precondition:
            "A write with a precondition cannot be queued: it would be judged later than it was made"
        case .idempotencyKey:
            "The request may have one Idempotency-Key, of 1 to \(IdempotencyKeyField.maxBytes) printable ASCII characters"
        case .body(let fault): fault.message
        }
    }
}

/// What a contact write has to be like to be queued: the same for a request at the door and for a line of an import.
package struct WriteRules: Sendable {
    /// Room for the lines that a stored write does not have and a request has.
    private static let ownHeadBytes = 64

    let maxHeadBytes: Int
    let maxBodyBytes: Int
    let fieldLimits: ContactFieldLimits

    /// Takes the bounds of a server.
    package init(_ configuration: ServerConfiguration) {
        maxHeadBytes = configuration.maxHeadBytes
        maxBodyBytes = configuration.maxWriteBodyBytes
        fieldLimits = configuration.fieldLimits
    }

    /// Checks what the head says.
    func check(_ fields: WriteRequestFields, _ method: WriteMethod) throws(WriteFault) {
        guard !fields.isCompressed else { throw .contentEncoding }
        if method == .put || fields.announcesBody {
            guard fields.isJSON else { throw .mediaType }
        }
        if let length = fields.contentLength, length > maxBodyBytes { throw .bodyTooLarge(maxBodyBytes) }
        guard !fields.hasPrecondition else { throw .precondition }
        guard fields.idempotencyKey != .invalid else { throw .idempotencyKey }
    }

    /// Checks a whole body; what it sets, nil for none.
    func check(_ body: ByteBuffer, _ method: WriteMethod) throws(WriteFault) -> ContactUpdate? {
        guard body.readableBytes <= maxBodyBytes else { throw .bodyTooLarge(maxBodyBytes) }
        guard method == .put || body.readableBytes > 0 else { return nil }
        let result = body.withUnsafeReadableBytes { bytes -> Result<ContactUpdate, ContactUpdateFault> in
            Result { () throws(ContactUpdateFault) in try ContactUpdate.check(bytes, limits: fieldLimits) }
        }
        switch result {
        case .success(let update): return update
        case .failure(let fault): throw .body(fault)
        }
    }

    /// Checks a stored write as the request that it was: it is written as one, and read by the server's own parser.
    package func check(
        method name: String,
        target: String,
        headers: [[String]],
        body: Data
    ) throws(WriteFault) {
        guard let method = WriteMethod(name: name) else { throw .notHTTP }
        var bytes = ByteBuffer()
        bytes.writeString("\(method.name) \(target) HTTP/1.1\r\nHost: import\r\nContent-Length: \(body.count)\r\n")
        for field in headers {
            guard field.count == 2 else { throw .notHTTP }
            for scalar in "\(field[0]): \(field[1])\r\n".unicodeScalars {
                guard let byte = UInt8(exactly: scalar.value) else { throw .notHTTP }
                bytes.writeInteger(byte)
            }
        }
        bytes.writeString("\r\n")
        var parser = RequestParser(maxHeadBytes: maxHeadBytes + Self.ownHeadBytes)
        let part: RequestParser.Part?
        do throws(RequestFault) {
            part = try parser.next(&bytes)
        } catch {
            throw .notHTTP
        }
        guard case .head(let head)? = part, bytes.readableBytes == 0, head.target == target else { throw .notHTTP }
        // Each field came out as it went in, and nothing besides.
        let read = head.headers.dropFirst(2).map { [$0.name, $0.value] }
        guard read == headers else { throw .notHTTP }
        try check(WriteRequestFields(head), method)
        let stored = HeaderHygiene.storedWrite(head.headers).map { [$0.name, $0.value] }
        guard stored == headers else { throw .otherFields }
        _ = try check(ByteBuffer(bytes: body), method)
    }
}
