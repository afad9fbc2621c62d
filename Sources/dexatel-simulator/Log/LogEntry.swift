import DexatelAPI

/// One request of the API, as the log keeps it.
struct LogEntry: Sendable, Equatable {
    /// Counted from 1 in the order in which requests were decided and applied.
    let number: Int
    /// Wall-clock time in milliseconds since 1970.
    let milliseconds: Int64
    let method: String
    let target: String
    /// The hash of the API key; nil without one.
    let keyFingerprint: UInt64?
    /// Which key it was, counted from 0 in the order of first use; nil without one or beyond the bound.
    let keyIndex: Int?
    let audience: UInt128?
    let contact: UInt128?
    /// What came; nil where it was longer than the log keeps.
    let body: [UInt8]?
    let bodyByteCount: Int
    /// The status that was sent; 0 where none was.
    var status: Int
    /// Whether a write took effect.
    let isApplied: Bool
    /// The fault that the request met.
    let fault: String?

    /// Writes the entry as an object on one line; `body` is null unless it is JSON.
    func write(to writer: inout JSONWriter) {
        writer.beginObject()
        writer.member("n", number)
        writer.member("time_ms", Int(milliseconds))
        writer.member("method", method)
        writer.member("target", target)
        writer.member("key_fingerprint", orNull: keyFingerprint.map(Fingerprint.text))
        writer.name("key_index")
        writer.raw((keyIndex.map { "\($0)" } ?? "null").utf8)
        writer.member("audience", orNull: audience.map(UUIDText.text))
        writer.member("contact", orNull: contact.map(UUIDText.text))
        writer.name("body")
        writer.raw(jsonBody ?? Array("null".utf8))
        writer.member("body_bytes", bodyByteCount)
        writer.member("status", status)
        writer.member("applied", isApplied)
        writer.member("fault", orNull: fault)
        writer.endObject()
    }

    /// The body as it came, on one line: line breaks of JSON lie between tokens, never in strings (RFC 8259 §7).
    private var jsonBody: [UInt8]? {
        guard let body, !body.isEmpty, Self.isJSON(body) else { return nil }
        return body.map { $0 == UInt8(ascii: "\n") || $0 == UInt8(ascii: "\r") ? UInt8(ascii: " ") : $0 }
    }

    private static func isJSON(_ body: [UInt8]) -> Bool {
        if body.withUnsafeBytes({ JSONDocument.isObject($0) }) { return true }
        // What is no object is rare; the decoder behind JSONValue would take other encodings than UTF-8, too.
        return !body.contains(0) && String(validating: body, as: UTF8.self) != nil
            && !body.starts(with: [0xEF, 0xBB, 0xBF]) && JSONValue(parsing: body) != nil
    }
}
