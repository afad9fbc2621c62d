/// Dates in header fields (RFC 9110 §5.6.7): all three forms are read, the first one is written.
package enum HTTPDate {
    private static let secondsPerDay: Int64 = 86_400
    private static let dayNames = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"]
    private static let longDayNames = [
        "Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday",
    ]
    private static let monthNames = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ]

    /// Reads `Sun, 06 Nov 1994 08:49:37 GMT`, `Sunday, 06-Nov-94 08:49:37 GMT` or `Sun Nov  6 08:49:37 1994`.
    ///
    /// Returns seconds since 1970, or `nil` for anything else. Names of days and months and `GMT` are read in any case, as
    /// other recipients do. The name of the day has to be one, but need not be the right one: the date says what is meant. `nowUnixSeconds` places a two-digit year: one that would
    /// lie more than 50 years ahead is the most recent one in the past with those digits.
    package static func parse(_ text: String, nowUnixSeconds: @autoclosure () -> Int64) -> Int64? {
        // The longest valid form has 33 bytes; there is no reason to look at a longer one.
        guard text.utf8.count <= 40 else { return nil }
        var scanner = HTTPDateScanner(text)
        guard let dayName = scanner.letters() else { return nil }
        if self.dayNames.contains(where: { $0.isSameASCII(as: dayName) }) {
            return scanner.skip(", ") ? self.fixdate(&scanner) : self.asctime(&scanner)
        }
        guard
            self.longDayNames.contains(where: { $0.isSameASCII(as: dayName) }), scanner.skip(", ")
        else { return nil }
        return self.rfc850(&scanner, nowUnixSeconds())
    }

    /// Writes seconds since 1970 as `Sun, 06 Nov 1994 08:49:37 GMT`; outside the years 1 to 9999 the nearest moment
    /// inside.
    package static func format(_ unixSeconds: Int64) -> String {
        let time = CivilTime(secondsSinceEpoch: unixSeconds)
        // 1970-01-01 was a Thursday.
        let weekday = CivilTime.floorDivide(time.date.daysSince1970 + 4, by: 7).remainder
        func digits(_ value: Int64, _ count: Int) -> String {
            let text = String(value)
            return String(repeating: "0", count: max(0, count - text.utf8.count)) + text
        }
        return "\(self.dayNames[Int(weekday)]), \(digits(time.date.day, 2)) "
            + "\(self.monthNames[Int(time.date.month) - 1]) \(digits(time.date.year, 4)) "
            + "\(digits(time.hour, 2)):\(digits(time.minute, 2)):\(digits(time.second, 2)) GMT"
    }

    private static func fixdate(_ scanner: inout HTTPDateScanner) -> Int64? {
        guard
            let day = scanner.number(digits: 2), scanner.skip(" "),
            let month = self.month(&scanner), scanner.skip(" "),
            let year = scanner.number(digits: 4), scanner.skip(" "),
            let second = scanner.timeOfDay(), scanner.skip(" gmt"), scanner.isAtEnd
        else { return nil }
        return self.unixSeconds(CivilDate(year: year, month: month, day: day), second)
    }

    private static func asctime(_ scanner: inout HTTPDateScanner) -> Int64? {
        guard scanner.skip(" "), let month = self.month(&scanner), scanner.skip(" ") else { return nil }
        guard
            let day = scanner.skip(" ") ? scanner.number(digits: 1) : scanner.number(digits: 2), scanner.skip(" "),
            let second = scanner.timeOfDay(), scanner.skip(" "),
            let year = scanner.number(digits: 4), scanner.isAtEnd
        else { return nil }
        return self.unixSeconds(CivilDate(year: year, month: month, day: day), second)
    }

    private static func rfc850(_ scanner: inout HTTPDateScanner, _ nowUnixSeconds: Int64) -> Int64? {
        guard
            let day = scanner.number(digits: 2), scanner.skip("-"),
            let month = self.month(&scanner), scanner.skip("-"),
            let shortYear = scanner.number(digits: 2), scanner.skip(" "),
            let second = scanner.timeOfDay(), scanner.skip(" gmt"), scanner.isAtEnd
        else { return nil }
        let now = CivilDate(daysSince1970: nowUnixSeconds / self.secondsPerDay)
        // The latest year with these digits that is not more than 50 years ahead.
        let latest = now.year + 50
        var date = CivilDate(year: latest - (latest - shortYear) % 100, month: month, day: day)
        let limitDay = CivilDate(year: latest, month: now.month, day: now.day).daysSince1970
        if (date.daysSince1970, second) > (limitDay, nowUnixSeconds % self.secondsPerDay) {
            date.year -= 100
        }
        return self.unixSeconds(date, second)
    }

    private static func month(_ scanner: inout HTTPDateScanner) -> Int64? {
        guard let name = scanner.letters(),
            let index = self.monthNames.firstIndex(where: { $0.isSameASCII(as: name) })
        else { return nil }
        return Int64(index) + 1
    }

    private static func unixSeconds(_ date: CivilDate, _ second: Int64) -> Int64? {
        date.exists ? date.daysSince1970 * self.secondsPerDay + second : nil
    }
}
