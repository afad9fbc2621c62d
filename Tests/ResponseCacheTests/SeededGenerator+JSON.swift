import TestSupport

/// Spells JSON in many ways.
extension SeededGenerator {
    mutating func pick<T>(_ values: [T]) -> T { values[Int.random(in: 0..<values.count, using: &self)] }

    mutating func space() -> String { chance(oneIn: 3) ? pick([" ", "\n  ", "\t", "\r\n"]) : "" }

    /// A random JSON value in one of its spellings.
    mutating func value(depth: Int = 2) -> String {
        switch Int.random(in: 0..<(depth > 0 ? 8 : 6), using: &self) {
        case 0: return pick(["null", "true", "false"])
        case 1: return pick(["0", "-0", "1.50", "2e3", "-12E-1", "9007199254740991"])
        case 2...5: return "\"" + pick(["", "Ann", "\\u0041nn", "é\\n", "\\\"", "😀\\/", "{", "],", "\\\\"]) + "\""
        case 6:
            let members = ["id", "first_name", "x"].prefix(Int.random(in: 0...3, using: &self)).map {
                space() + quoted($0) + space() + ":" + value(depth: depth - 1)
            }
            return "{" + members.joined(separator: ",") + space() + "}"
        default:
            let values = (0..<Int.random(in: 0...3, using: &self)).map { _ in value(depth: depth - 1) + space() }
            return "[" + values.joined(separator: ",") + "]"
        }
    }

    /// An ASCII name in quotes, some of its letters escaped.
    mutating func quoted(_ name: String) -> String {
        let spelled = name.utf8.map { byte in
            let digits = String(byte, radix: 16, uppercase: chance(oneIn: 2))
            return chance(oneIn: 12) ? "\\u00" + digits : String(UnicodeScalar(byte))
        }
        return "\"" + spelled.joined() + "\""
    }
}
