import Testing
import Upstream

@Suite("Retry-After (RFC 9110 §10.2.3)")
struct RetryAfterTests {
    private static let now: Int64 = 784_111_777  // Sun, 06 Nov 1994 08:49:37 GMT

    @Test(
        "seconds",
        arguments: [
            ("0", 0), ("1", 1), ("120", 120), (" 7 ", 7), ("007", 7), ("2147483648", 1 << 31),
            ("99999999999999999999999999", 1 << 31),
        ]
    )
    func seconds(text: String, expected: Int64) {
        #expect(RetryAfter.parse(text, replyDate: nil, nowUnixSeconds: Self.now) == .seconds(expected))
    }

    @Test("neither form", arguments: ["", " ", "-1", "+1", "1.5", "1s", "soon", "0x10", "1, 2", "٣"])
    func invalid(text: String) {
        #expect(RetryAfter.parse(text, replyDate: nil, nowUnixSeconds: Self.now) == nil)
    }

    @Test("a date counts from the reply's own date, whatever the clock here says")
    func replyDate() {
        let value = "Fri, 31 Dec 1999 23:59:59 GMT"
        let delay = RetryAfter.parse(value, replyDate: "Fri, 31 Dec 1999 23:59:29 GMT", nowUnixSeconds: Self.now)
        #expect(delay == .seconds(30))
        let overNewYear = RetryAfter.parse(
            "Saturday, 01-Jan-00 00:00:01 GMT",
            replyDate: "Fri Dec 31 23:59:59 1999",
            nowUnixSeconds: 946_684_000
        )
        #expect(overNewYear == .seconds(2))
    }

    @Test("a date counts from the clock here where the reply has none, or none that can be read")
    func wallClock() {
        let value = "Sun, 06 Nov 1994 08:51:37 GMT"
        #expect(RetryAfter.parse(value, replyDate: nil, nowUnixSeconds: Self.now) == .seconds(120))
        #expect(RetryAfter.parse(value, replyDate: "yesterday", nowUnixSeconds: Self.now) == .seconds(120))
    }

    @Test("a date in the past is no wait")
    func past() {
        let value = "Sun, 06 Nov 1994 08:49:36 GMT"
        #expect(RetryAfter.parse(value, replyDate: nil, nowUnixSeconds: Self.now) == .zero)
    }
}
