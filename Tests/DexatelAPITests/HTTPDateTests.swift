import DexatelAPI
import Testing

@Suite("HTTP dates (RFC 9110 §5.6.7)")
struct HTTPDateTests {
    private static let now: Int64 = 1_767_225_600  // 2026-01-01 00:00:00

    @Test(
        "all three forms mean the same",
        arguments: [
            "Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994",
            "  Sun, 06 Nov 1994 08:49:37 GMT\t", "sun, 06 nov 1994 08:49:37 gmt", "SUN, 06 NOV 1994 08:49:37 Gmt",
            "sunday, 06-NOV-94 08:49:37 GMT", "sUN nOV  6 08:49:37 1994",
        ]
    )
    func forms(text: String) {
        #expect(HTTPDate.parse(text, nowUnixSeconds: Self.now) == 784_111_777)
    }

    @Test(
        "dates at the edges",
        arguments: [
            ("Thu, 01 Jan 1970 00:00:00 GMT", Int64(0)),
            ("Wed, 31 Dec 1969 23:59:59 GMT", -1),
            ("Fri, 31 Dec 1999 23:59:59 GMT", 946_684_799),
            ("Sat, 01 Jan 2000 00:00:00 GMT", 946_684_800),
            ("Tue, 29 Feb 2000 12:00:00 GMT", 951_825_600),
            ("Thu, 29 Feb 2024 00:00:00 GMT", 1_709_164_800),
            ("Wed, 31 Dec 2025 23:59:59 GMT", 1_767_225_599),
            ("Thu, 01 Jan 2026 00:00:00 GMT", 1_767_225_600),
            ("Mon, 01 Mar 2100 00:00:00 GMT", 4_107_542_400),
            ("Fri, 31 Dec 9999 23:59:59 GMT", 253_402_300_799),
        ]
    )
    func edges(text: String, seconds: Int64) {
        #expect(HTTPDate.parse(text, nowUnixSeconds: Self.now) == seconds)
        #expect(HTTPDate.format(seconds) == text)
    }

    @Test("a leap second is the next minute's first")
    func leapSecond() {
        #expect(HTTPDate.parse("Sat, 31 Dec 2016 23:59:60 GMT", nowUnixSeconds: Self.now) == 1_483_228_800)
        #expect(HTTPDate.parse("Sat Dec 31 23:59:60 2016", nowUnixSeconds: Self.now) == 1_483_228_800)
    }

    @Test(
        "a two-digit year lies at most 50 years ahead",
        arguments: [
            ("Thursday, 01-Jan-26 00:00:00 GMT", "Thu, 01 Jan 2026 00:00:00 GMT"),
            ("Tuesday, 31-Dec-75 23:59:59 GMT", "Tue, 31 Dec 2075 23:59:59 GMT"),
            ("Wednesday, 01-Jan-76 00:00:00 GMT", "Wed, 01 Jan 2076 00:00:00 GMT"),
            ("Thursday, 01-Jan-76 00:00:01 GMT", "Thu, 01 Jan 1976 00:00:01 GMT"),
            ("Saturday, 01-Jan-77 00:00:00 GMT", "Sat, 01 Jan 1977 00:00:00 GMT"),
            ("Friday, 31-Dec-99 00:00:00 GMT", "Fri, 31 Dec 1999 00:00:00 GMT"),
            ("Saturday, 01-Jan-00 00:00:00 GMT", "Sat, 01 Jan 2000 00:00:00 GMT"),
            ("Wednesday, 31-Dec-25 23:59:59 GMT", "Wed, 31 Dec 2025 23:59:59 GMT"),
        ]
    )
    func twoDigits(text: String, meaning: String) throws {
        let seconds = try #require(HTTPDate.parse(text, nowUnixSeconds: Self.now))
        #expect(HTTPDate.format(seconds) == meaning)
    }

    @Test("a two-digit year at the turn of a century")
    func century() throws {
        // Seen from 2060-06-15: 00 to 09 are ahead, 11 and later behind.
        let now = try #require(HTTPDate.parse("Tue, 15 Jun 2060 12:00:00 GMT", nowUnixSeconds: Self.now))
        let ahead = try #require(HTTPDate.parse("Friday, 01-Jan-09 00:00:00 GMT", nowUnixSeconds: now))
        #expect(HTTPDate.format(ahead).contains("2109"))
        let behind = try #require(HTTPDate.parse("Friday, 01-Jan-11 00:00:00 GMT", nowUnixSeconds: now))
        #expect(HTTPDate.format(behind).contains("2011"))
        let last = try #require(HTTPDate.parse("Sunday, 15-Jun-10 12:00:00 GMT", nowUnixSeconds: now))
        #expect(HTTPDate.format(last).contains("2110"))
        let over = try #require(HTTPDate.parse("Sunday, 15-Jun-10 12:00:01 GMT", nowUnixSeconds: now))
        #expect(HTTPDate.format(over).contains("2010"))
        // From a leap day 50 years on there is no such day: the limit is the day after.
        let leapDay = try #require(HTTPDate.parse("Thu, 29 Feb 2024 00:00:00 GMT", nowUnixSeconds: Self.now))
        let march = try #require(HTTPDate.parse("Friday, 02-Mar-74 00:00:00 GMT", nowUnixSeconds: leapDay))
        #expect(HTTPDate.format(march).contains("1974"))
    }

    @Test(
        "anything else is not a date",
        arguments: [
            "", "0", "now", "Sun", "Sun,", "Sun, 06 Nov 1994", "Sun, 06 Nov 1994 08:49:37",
            "Sun, 06 Nov 1994 08:49:37 UTC",
            "Sun, 06 Nov 1994 08:49:37 GMT+1", "Sun, 6 Nov 1994 08:49:37 GMT", "Sun, 06 Nov 1994 08:49:37 UTC",
            "Xyz, 06 Nov 1994 08:49:37 GMT", "Sun, 06 Nov 94 08:49:37 GMT", "Sun, 31 Apr 1994 08:49:37 GMT",
            "Sun, 29 Feb 2023 08:49:37 GMT", "Sun, 29 Feb 2100 08:49:37 GMT", "Sun, 00 Nov 1994 08:49:37 GMT",
            "Sun, 06 Nov 1994 24:00:00 GMT", "Sun, 06 Nov 1994 08:60:37 GMT", "Sun, 06 Nov 1994 08:49:61 GMT",
            "Sunday, 06-Nov-1994 08:49:37 GMT", "Sunday 06-Nov-94 08:49:37 GMT", "Sun Nov 6 08:49:37 1994",
            "Sun Nov  16 08:49:37 1994", "Sun Nov 06 08:49:37 94", "Sun, 06 Nov 1994 08:49:37 GMT junk",
            "Sun, 06 Nov 1994 -8:49:37 GMT", "Sun, 06 Nov ١٩٩٤ 08:49:37 GMT",
            "Sun, 06 Nov 1994 08:49:37 GMT                                                                 ",
        ]
    )
    func invalid(text: String) {
        #expect(HTTPDate.parse(text, nowUnixSeconds: Self.now) == nil)
    }

    @Test("what is written can be read, over nine centuries")
    func roundTrip() {
        var seconds: Int64 = -9_000_000_000
        while seconds < 20_000_000_000 {
            #expect(HTTPDate.parse(HTTPDate.format(seconds), nowUnixSeconds: Self.now) == seconds)
            seconds += 86_399 * 29
        }
    }
}
