import DexatelAPI
import Foundation
import TestSupport
import Testing

@Suite struct TimeTextTests {
    @Test(
        arguments: [
            (0, "1970-01-01 00:00:00"), (-1, "1969-12-31 23:59:59"), (951_782_400, "2000-02-29 00:00:00"),
            (951_868_799, "2000-02-29 23:59:59"), (951_868_800, "2000-03-01 00:00:00"),
            (4_107_542_400, "2100-03-01 00:00:00"),
            (1_767_323_045, "2026-01-02 03:04:05"), (1_798_761_599, "2026-12-31 23:59:59"),
            (2_147_483_648, "2038-01-19 03:14:08"),
            (253_402_300_799, "9999-12-31 23:59:59"), (-62_135_596_800, "0001-01-01 00:00:00"),
            (.max, "9999-12-31 23:59:59"), (.min, "0001-01-01 00:00:00"),
        ] as [(Int64, String)]
    )
    func `the upstream's timestamps are UTC to the second`(seconds: Int64, text: String) {
        #expect(DexatelTimestamp.text(secondsSinceEpoch: seconds) == text)
    }

    @Test(
        arguments: [
            (0, "1970-01-01T00:00:00.000Z"), (1_767_323_045_678, "2026-01-02T03:04:05.678Z"),
            (-1, "1969-12-31T23:59:59.999Z"), (-1000, "1969-12-31T23:59:59.000Z"), (7, "1970-01-01T00:00:00.007Z"),
        ] as [(Int64, String)]
    )
    func `RFC 3339 times have milliseconds`(milliseconds: Int64, text: String) {
        #expect(RFC3339.text(millisecondsSinceEpoch: milliseconds) == text)
    }

    @Test func `the ends of time do not trap`() {
        #expect(RFC3339.text(millisecondsSinceEpoch: .max).hasPrefix("9999-12-31T23:59:59"))
        #expect(RFC3339.text(millisecondsSinceEpoch: .min).hasPrefix("0001-01-01T00:00:00"))
    }

    @Test func `random moments agree with Foundation`() throws {
        var random = SeededGenerator("times")
        var calendar = Calendar(identifier: .gregorian)
        calendar.timeZone = try #require(TimeZone(secondsFromGMT: 0))
        for _ in 0..<2000 {
            // From the Gregorian reform on: Foundation's calendar is Julian before it.
            let seconds = Int64.random(in: -12_219_292_800 + 86_400...253_402_300_799, using: &random)
            let date = Date(timeIntervalSince1970: Double(seconds))
            let parts = calendar.dateComponents([.year, .month, .day, .hour, .minute, .second], from: date)
            let numbers = [parts.year, parts.month, parts.day, parts.hour, parts.minute, parts.second].compactMap { $0 }
            let text = DexatelTimestamp.text(secondsSinceEpoch: seconds)
            #expect(text.split { "-: ".contains($0) }.compactMap { Int($0) } == numbers, "seed \(random.seed)")
            #expect(text.utf8.count == 19)
        }
    }
}
