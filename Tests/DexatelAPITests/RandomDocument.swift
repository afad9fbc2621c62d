import TestSupport

/// Renders random well-formed JSON with random spacing and escapes, and knows which names it put in twice.
struct RandomDocument {
    let duplicateOneIn: Int
    private(set) var duplicates: Set<String> = []

    init(duplicateOneIn: Int) {
        self.duplicateOneIn = duplicateOneIn
    }

    mutating func object(depth: Int, using random: inout SeededGenerator) -> String {
        var names: [String] = []
        for _ in 0..<Int.random(in: 0...(random.chance(oneIn: 10) ? 30 : 5), using: &random) {
            if let known = names.randomElement(using: &random), random.chance(oneIn: duplicateOneIn) {
                duplicates.insert(known)
                names.append(known)
            } else {
                // The number keeps names apart that the letters do not.
                names.append(letters(using: &random) + String(names.count))
            }
        }
        var members: [String] = []
        for name in names {
            let value = value(depth: depth - 1, using: &random)
            let colon = space(using: &random) + ":" + space(using: &random)
            members.append(space(using: &random) + quoted(name, using: &random) + colon + value + space(using: &random))
        }
        return "{" + (members.isEmpty ? space(using: &random) : members.joined(separator: ",")) + "}"
    }

    private mutating func value(depth: Int, using random: inout SeededGenerator) -> String {
        switch Int.random(in: 0..<(depth > 0 ? 8 : 6), using: &random) {
        case 0: return ["true", "false", "null"].randomElement(using: &random) ?? "null"
        case 1: return ["0", "-1", "1.5", "2e3", "-0.0E-2", "12345678901"].randomElement(using: &random) ?? "0"
        case 2...5: return quoted(letters(using: &random), using: &random)
        case 6: return object(depth: depth, using: &random)
        default:
            let values = (0..<Int.random(in: 0...3, using: &random)).map { _ in
                space(using: &random) + value(depth: depth - 1, using: &random) + space(using: &random)
            }
            return "[" + values.joined(separator: ",") + "]"
        }
    }

    private func letters(using random: inout SeededGenerator) -> String {
        let alphabet: [Unicode.Scalar] = [
            "a", "b", "z", "_", " ", "\"", "\\", "/", "\n", "\u{1}", "é", "\u{301}", "€", "😀", "\u{10ffff}",
        ]
        var text = ""
        for _ in 0..<Int.random(in: 0...12, using: &random) {
            text.unicodeScalars.append(alphabet.randomElement(using: &random) ?? "a")
        }
        return text
    }

    /// A string with escapes where they are needed and, sometimes, where they are not.
    private func quoted(_ text: String, using random: inout SeededGenerator) -> String {
        var quoted = "\""
        for scalar in text.unicodeScalars {
            let mustEscape = scalar.value < 0x20 || scalar == "\"" || scalar == "\\"
            if mustEscape || random.chance(oneIn: 5) {
                for unit in String(scalar).utf16 {
                    let digits = String(unit, radix: 16, uppercase: random.chance(oneIn: 2))
                    quoted += "\\u" + String(repeating: "0", count: 4 - digits.utf8.count) + digits
                }
            } else {
                quoted.unicodeScalars.append(scalar)
            }
        }
        return quoted + "\""
    }

    private func space(using random: inout SeededGenerator) -> String {
        random.chance(oneIn: 4) ? [" ", "\n", "\t", "\r\n  "].randomElement(using: &random) ?? "" : ""
    }
}
