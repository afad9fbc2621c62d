import ArgumentParser

/// A time span as operators write it: `90s`, `5m`, `2h`, `1d`, `2w`.
struct Age: ExpressibleByArgument, Equatable {
    /// The span in milliseconds.
    let milliseconds: Int64

    private static let units: [(String, Int64)] = [
        ("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000), ("w", 604_800_000),
    ]

    init(seconds: Int64) { milliseconds = seconds * 1_000 }

    init?(argument: String) {
        guard let unit = Self.units.first(where: { argument.hasSuffix($0.0) }),
            let number = Int64(argument.dropLast(unit.0.count)), number >= 0
        else { return nil }
        let (milliseconds, hasOverflown) = number.multipliedReportingOverflow(by: unit.1)
        guard !hasOverflown else { return nil }
        self.milliseconds = milliseconds
    }

    var defaultValueDescription: String {
        milliseconds % 1_000 == 0 ? "\(milliseconds / 1_000)s" : "\(milliseconds)ms"
    }
}
