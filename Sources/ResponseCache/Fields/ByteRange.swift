import DexatelAPI

/// One range of bytes that a request asks for (RFC 9110 §14.1.2).
enum ByteRange: Equatable {
    case satisfiable(Range<Int>)
    case unsatisfiable

    /// Reads `bytes=a-b`, `bytes=a-` or `bytes=-n` for a representation of `length` bytes.
    ///
    /// Nil for everything that a server may ignore (RFC 9110 §14.2): other units, several ranges, malformed ones.
    init?(_ value: String, length: Int) {
        let text = Array(value.utf8)[...].trimmed
        guard text.matchesASCII("bytes="), text.count > 6 else { return nil }
        let spec = text.dropFirst(6)
        guard let dash = spec.firstIndex(of: UInt8(ascii: "-")) else { return nil }
        let firstText = spec[..<dash]
        let lastText = spec[(dash + 1)...]
        if firstText.isEmpty {
            guard let suffix = DeltaSeconds.parse(lastText) else { return nil }
            self =
                suffix == 0 || length == 0
                ? .unsatisfiable : .satisfiable(max(0, length - Int(suffix))..<length)
            return
        }
        guard let first = DeltaSeconds.parse(firstText) else { return nil }
        guard lastText.isEmpty || DeltaSeconds.parse(lastText) != nil else { return nil }
        let last = DeltaSeconds.parse(lastText) ?? .max
        guard last >= first else { return nil }
        self =
            first >= Int64(length) ? .unsatisfiable : .satisfiable(Int(first)..<Int(min(last, Int64(length) - 1)) + 1)
    }
}
