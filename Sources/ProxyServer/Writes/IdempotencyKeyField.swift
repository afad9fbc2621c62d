import DexatelAPI

/// The `Idempotency-Key` of a write (IETF draft, draft-ietf-httpapi-idempotency-key-header), judged: a value that does not tell one
/// write from the next makes the second a repetition of the first, and it would never be stored.
enum IdempotencyKeyField: Equatable {
    /// Bytes of a value at most; the draft leaves that to whoever takes it.
    static let maxBytes = 255

    case none
    /// One value, byte for byte, a quoted one with its quotes.
    case value(String)
    /// Several, or one that is empty, too long, or more than printable ASCII.
    case invalid

    /// Notes one more field of this name.
    mutating func note(_ value: String) {
        guard self == .none else {
            self = .invalid
            return
        }
        let text = value.utf8.trimmingOptionalWhitespace()
        let isEmpty = text.isEmpty || text.elementsEqual(#""""#.utf8)
        let isPrintable = text.allSatisfy { $0 >= 0x20 && $0 < 0x7F }
        self = !isEmpty && isPrintable && text.count <= Self.maxBytes ? .value(String(Substring(text))) : .invalid
    }
}
