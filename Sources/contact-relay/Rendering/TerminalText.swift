/// Text from elsewhere, made fit for a terminal.
enum TerminalText {
    /// The columns of the narrowest terminal that everything fits.
    static let columns = 80

    /// One line without control characters, which could move the cursor or change what stands there.
    static func plain(_ text: String) -> String {
        String(String.UnicodeScalarView(text.unicodeScalars.map(visible)))
    }

    private static func visible(_ scalar: Unicode.Scalar) -> Unicode.Scalar {
        switch scalar.properties.generalCategory {
        case .control, .format, .lineSeparator, .paragraphSeparator, .surrogate: scalar == "\t" ? " " : "\u{FFFD}"
        default: scalar
        }
    }

    /// The beginning of a text, with a sign that it goes on.
    static func clipped(_ text: String, to width: Int) -> String {
        let text = plain(text)
        return text.count <= width ? text : text.prefix(max(0, width - 1)) + "…"
    }

    /// Text in a field of this width, at its left.
    static func left(_ text: String, _ width: Int) -> String {
        text + String(repeating: " ", count: max(0, width - text.count))
    }

    /// Text in a field of this width, at its right.
    static func right(_ text: String, _ width: Int) -> String {
        String(repeating: " ", count: max(0, width - text.count)) + text
    }
}
