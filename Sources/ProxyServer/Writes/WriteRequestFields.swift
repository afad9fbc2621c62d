import DexatelAPI
import HTTPWire

/// What the head of a contact write says that decides about it.
struct WriteRequestFields {
    private let head: RequestHead

    init(_ head: RequestHead) { self.head = head }

    /// Whether the media type is `application/json`, with any parameters; the first `Content-Type` counts.
    var isJSON: Bool { head.fields.first(.contentType).map(Self.isJSON) ?? false }

    /// How long the body is; nil where only its end will tell.
    var contentLength: Int? { head.body.bytes }

    /// Whether a body follows.
    var announcesBody: Bool { head.body != .known(0) }

    /// Whether there is a `Content-Encoding` other than `identity`.
    var isCompressed: Bool {
        head.fields.has(.contentEncoding) && head.fields.values(.contentEncoding).contains { !$0.isASCII("identity") }
    }

    /// The `Idempotency-Key`, judged.
    var idempotencyKey: IdempotencyKeyField {
        guard head.fields.has(.idempotencyKey) else { return .none }
        var field = IdempotencyKeyField.none
        for value in head.fields.values(.idempotencyKey) { field.note(value) }
        return field
    }

    /// Whether one of the fields is there that make a request conditional (RFC 9110 §13.1).
    var hasPrecondition: Bool {
        head.fields.has(.ifMatch) || head.fields.has(.ifNoneMatch) || head.fields.has(.ifModifiedSince)
            || head.fields.has(.ifUnmodifiedSince)
    }

    static func isJSON(_ value: String) -> Bool {
        if value.isASCII("application/json") { return true }
        var type = value.prefix { $0 != ";" }
        while type.last == " " || type.last == "\t" { type.removeLast() }
        return String(type).isASCII("application/json")
    }
}
