extension String.UTF8View {
    /// The text without spaces and tabs at its ends (RFC 9110 §5.6.3).
    package func trimmingOptionalWhitespace() -> Substring.UTF8View {
        var text = self[...]
        while let first = text.first, first == 0x20 || first == 0x09 { text.removeFirst() }
        while let last = text.last, last == 0x20 || last == 0x09 { text.removeLast() }
        return text
    }
}
