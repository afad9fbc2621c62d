import NIOHTTP1
import ResponseCache
import Testing

@Suite("Age (RFC 9111 §4.2.3, §5.1)")
struct AgeTests {
    struct Row: Sendable {
        var date: String? = CacheFixture.date
        var age: String?
        var tookSeconds: Int64 = 0
        var laterSeconds: Int64 = 0
        var expected: Int64
    }

    @Test(
        "§4.2.3 the age is the larger of apparent and corrected age, plus the time spent here",
        arguments: [
            Row(expected: 0),
            Row(laterSeconds: 7, expected: 7),
            Row(date: "Wed, 31 Dec 2025 23:59:50 GMT", expected: 10),
            Row(date: "Wed, 31 Dec 2025 23:59:50 GMT", laterSeconds: 5, expected: 15),
            Row(date: "Thu, 01 Jan 2026 00:00:30 GMT", expected: 0),
            Row(date: nil, expected: 0),
            Row(date: "yesterday", laterSeconds: 1, expected: 1),
            Row(age: "20", expected: 20),
            Row(age: "20", tookSeconds: 3, expected: 23),
            Row(age: "20", tookSeconds: 3, laterSeconds: 4, expected: 27),
            Row(tookSeconds: 3, expected: 3),
            Row(date: "Wed, 31 Dec 2025 23:59:50 GMT", age: "4", tookSeconds: 2, expected: 10),
            Row(date: "Wed, 31 Dec 2025 23:59:50 GMT", age: "40", tookSeconds: 2, expected: 42),
            Row(age: "20, 30", expected: 20),
            Row(age: "-20", expected: 0),
            Row(age: "twenty", expected: 0),
            Row(age: "1.5", expected: 0),
            Row(age: "", expected: 0),
            Row(age: "99999999999999999999", expected: 1 << 31),
        ]
    )
    func table(row: Row) throws {
        let fixture = CacheFixture()
        var headers: HTTPHeaders = ["Cache-Control": "max-age=4000000000"]
        if let date = row.date { headers.add(name: "Date", value: date) }
        if let age = row.age { headers.add(name: "Age", value: age) }
        let key = fixture.key()
        let plan = try StoragePlan(
            CacheFixture.head(200, headers, took: row.tookSeconds),
            to: CacheFixture.request(),
            key: key,
            token: fixture.cache.fetchToken(key),
            fixture.configuration
        )
        #expect(plan.freshness.ageSeconds(row.laterSeconds * 1000) == row.expected)
    }

    @Test("§5.1 a hit says its age, and the age that came is not repeated")
    func ageField() throws {
        let fixture = CacheFixture()
        try fixture.store(["Cache-Control": "max-age=100", "Age": "20", "Date": CacheFixture.date])
        let image = try #require(fixture.answer(at: 5).hit).wireImage(nowMilliseconds: 5999)
        #expect(image.values("Age") == ["25"])
    }

    @Test("§4.2.3 of several dates that contradict each other the earliest counts, and of several ages the first")
    func contradictions() throws {
        let fixture = CacheFixture()
        let dates = HTTPHeaders([
            ("Cache-Control", "max-age=100"), ("Date", CacheFixture.date), ("Date", "Wed, 31 Dec 2025 23:59:30 GMT"),
        ])
        #expect(try fixture.store(dates).freshness.ageSeconds(0) == 30)
        let ages = HTTPHeaders([("Cache-Control", "max-age=100"), ("Age", "7"), ("Age", "70")])
        #expect(try fixture.store(ages).freshness.ageSeconds(0) == 7)
    }

    @Test("§4.2.3 a lifetime of N seconds is over at age N")
    func edge() throws {
        let fixture = CacheFixture(target: CacheFixture.elsewhere)
        try fixture.store(["Cache-Control": "max-age=10", "ETag": "\"1\""])
        #expect(fixture.word(at: 9) == "fresh")
        #expect(fixture.word(at: 10) == "validate, stale")
    }
}
