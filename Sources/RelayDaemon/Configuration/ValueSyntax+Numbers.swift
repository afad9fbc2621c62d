extension ValueSyntax where Value == Int {
    /// A plain whole number.
    static func count(_ range: ClosedRange<Int>) -> Self {
        Self(type: "integer", allowed: "a whole number from \(range.lowerBound) to \(range.upperBound)") { text in
            Magnitude(text).flatMap { $0.unit.isEmpty ? $0.number : nil }.flatMap { range.contains($0) ? $0 : nil }
        } format: {
            String($0)
        }
    }

    /// A number of bytes, with a binary unit or none.
    static func size(_ range: ClosedRange<Int>) -> Self {
        let bounds = "\(sizeText(range.lowerBound)) to \(sizeText(range.upperBound))"
        return Self(type: "size", allowed: "a size from \(bounds)", examples: "512B, 64KiB or 2GiB") { text in
            guard let magnitude = Magnitude(text) else { return nil }
            let unit = magnitude.unit.isEmpty ? "B" : magnitude.unit
            return magnitude.scaled(by: sizeUnits.first { $0.name == unit }?.scale, within: range)
        } format: {
            sizeText($0)
        }
    }

    private static var sizeUnits: [(name: String, scale: Int)] {
        [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("B", 1)]
    }

    private static func sizeText(_ bytes: Int) -> String {
        Magnitude.text(bytes, units: sizeUnits, zero: "0B")
    }
}

extension ValueSyntax where Value == Duration {
    /// A length of time with its unit, to the millisecond.
    static func duration(_ range: ClosedRange<Duration>) -> Self {
        let bounds = "\(durationText(range.lowerBound)) to \(durationText(range.upperBound))"
        return Self(type: "duration", allowed: "a duration from \(bounds)", examples: "250ms, 2s, 5m, 1h or 7d") {
            text in
            guard let magnitude = Magnitude(text) else { return nil }
            let scale = durationUnits.first { $0.name == magnitude.unit }?.scale
            let milliseconds = magnitude.scaled(by: scale, within: 0...Int.max)
            return milliseconds.map { Duration.milliseconds($0) }.flatMap { range.contains($0) ? $0 : nil }
        } format: {
            durationText($0)
        }
    }

    /// Units and their lengths in milliseconds.
    private static var durationUnits: [(name: String, scale: Int)] {
        [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)]
    }

    private static func durationText(_ duration: Duration) -> String {
        let (seconds, attoseconds) = duration.components
        let milliseconds = Int(seconds) * 1000 + Int(attoseconds / 1_000_000_000_000_000)
        return Magnitude.text(milliseconds, units: durationUnits, zero: "0s")
    }
}

/// A whole number of something, as in `64KiB`.
private struct Magnitude {
    let number: Int
    let unit: Substring

    init?(_ text: String) {
        let digits = text.prefix { ("0"..."9").contains($0) }
        guard let number = Int(digits) else { return nil }
        self.number = number
        self.unit = text[digits.endIndex...]
    }

    func scaled(by scale: Int?, within range: ClosedRange<Int>) -> Int? {
        guard let scale else { return nil }
        let (product, overflow) = number.multipliedReportingOverflow(by: scale)
        return !overflow && range.contains(product) ? product : nil
    }

    /// The shortest exact form: the largest unit that divides the number.
    static func text(_ number: Int, units: [(name: String, scale: Int)], zero: String) -> String {
        guard number != 0, let unit = units.first(where: { number.isMultiple(of: $0.scale) }) else { return zero }
        return "\(number / unit.scale)\(unit.name)"
    }
}
