/// A moment in the proleptic Gregorian calendar, UTC, by arithmetic alone (no time zone data, no locale).
struct CivilTime {
    let date: CivilDate
    let hour: Int64
    let minute: Int64
    let second: Int64

    /// Moments outside the years 1 to 9999 become the nearest one inside: no format can write a fifth digit.
    static let secondsRange: ClosedRange<Int64> = -62_135_596_800...253_402_300_799

    init(secondsSinceEpoch: Int64) {
        let seconds = min(max(secondsSinceEpoch, Self.secondsRange.lowerBound), Self.secondsRange.upperBound)
        let (days, secondOfDay) = Self.floorDivide(seconds, by: 86_400)
        hour = secondOfDay / 3600
        minute = secondOfDay / 60 % 60
        second = secondOfDay % 60
        date = CivilDate(daysSince1970: days)
    }

    /// `yyyy-MM-dd`, the separator, `HH:mm:ss`, the suffix.
    func text(separator: UInt8, milliseconds: Int64? = nil, suffix: StaticString = "") -> String {
        String(unsafeUninitializedCapacity: 32) { buffer in
            var length = 0
            func put(_ byte: UInt8) {
                buffer[length] = byte
                length += 1
            }
            func put(_ value: Int64, digits: Int) {
                for index in 0..<digits {
                    let power = Self.powersOfTen[digits - 1 - index]
                    put(UInt8(ascii: "0") + UInt8(value / power % 10))
                }
            }
            put(date.year, digits: 4)
            put(UInt8(ascii: "-"))
            put(date.month, digits: 2)
            put(UInt8(ascii: "-"))
            put(date.day, digits: 2)
            put(separator)
            put(hour, digits: 2)
            put(UInt8(ascii: ":"))
            put(minute, digits: 2)
            put(UInt8(ascii: ":"))
            put(second, digits: 2)
            if let milliseconds {
                put(UInt8(ascii: "."))
                put(milliseconds, digits: 3)
            }
            for index in 0..<suffix.utf8CodeUnitCount { put(suffix.utf8Start[index]) }
            return length
        }
    }

    /// Quotient and remainder that round towards the past, so that moments before 1970 come out right.
    static func floorDivide(_ value: Int64, by divisor: Int64) -> (quotient: Int64, remainder: Int64) {
        let (quotient, remainder) = value.quotientAndRemainder(dividingBy: divisor)
        return remainder < 0 ? (quotient - 1, remainder + divisor) : (quotient, remainder)
    }

    private static let powersOfTen: [Int64] = [1, 10, 100, 1000]
}
