/// Whole seconds in header fields (RFC 9111 §1.2.2).
enum DeltaSeconds {
    /// What is longer counts as this: 2³¹ seconds, which no arithmetic here can overflow.
    static let max: Int64 = 1 << 31

    /// Reads one or more digits; nil for anything else, a sign or a fraction included.
    static func parse(_ text: some Collection<UInt8>) -> Int64? {
        guard !text.isEmpty else { return nil }
        var seconds: Int64 = 0
        for byte in text {
            guard byte.isDigit else { return nil }
            seconds = Swift.min(seconds * 10 + Int64(byte - 0x30), max)
        }
        return seconds
    }
}
