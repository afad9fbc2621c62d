/// Reads the parts of a date from left to right; every failure is a `nil` that ends the attempt.
struct HTTPDateScanner {
    private var rest: Substring.UTF8View

    init(_ text: String) {
        self.rest = text.utf8.trimmingOptionalWhitespace()
    }

    var isAtEnd: Bool { self.rest.isEmpty }

    /// Steps over a text, which is given in lower case, in any case.
    mutating func skip(_ text: StaticString) -> Bool {
        guard self.rest.matchesASCII(text) else { return false }
        self.rest.removeFirst(text.utf8CodeUnitCount)
        return true
    }

    /// One or more ASCII letters.
    mutating func letters() -> String? {
        let letters = self.rest.prefix { (0x41...0x5A).contains($0) || (0x61...0x7A).contains($0) }
        guard !letters.isEmpty else { return nil }
        self.rest.removeFirst(letters.count)
        return String(Substring(letters))
    }

    /// Exactly so many digits.
    mutating func number(digits count: Int) -> Int64? {
        let digits = self.rest.prefix(count)
        guard digits.count == count, digits.allSatisfy({ (0x30...0x39).contains($0) }) else { return nil }
        self.rest.removeFirst(count)
        return digits.reduce(0) { $0 * 10 + Int64($1 - 0x30) }
    }

    /// `08:49:37` as seconds since midnight; the grammar admits a leap second, which is the next minute's first.
    mutating func timeOfDay() -> Int64? {
        guard
            let hour = self.number(digits: 2), hour < 24, self.skip(":"),
            let minute = self.number(digits: 2), minute < 60, self.skip(":"),
            let second = self.number(digits: 2), second <= 60
        else { return nil }
        return hour * 3600 + minute * 60 + second
    }
}
