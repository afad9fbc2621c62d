/// A ``VaryKey`` as text, one field a line: `name:value`, or `name` where the request had none.
extension VaryKey {
    var text: String {
        fields.map { name, value in value.map { "\(name):\($0)" } ?? name }.joined(separator: "\n")
    }

    /// Reads what ``text`` wrote.
    init(text: String) {
        self.init(
            fields: text.split(separator: "\n").map { line in
                guard let colon = line.utf8.firstIndex(of: UInt8(ascii: ":")) else { return (String(line), nil) }
                return (String(line[..<colon]), String(line[line.utf8.index(after: colon)...]))
            }
        )
    }
}
