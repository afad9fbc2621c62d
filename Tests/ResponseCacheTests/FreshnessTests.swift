import NIOHTTP1
import ResponseCache
import Testing

@Suite("Freshness lifetime (RFC 9111 §4.2.1, §4.2.2, §5.2.2, §5.3)")
struct FreshnessTests {
    private func lifetime(
        _ headers: HTTPHeaders,
        status: Int = 200,
        partition: CachePartition = CacheFixture.oneKey,
        target: String = CacheFixture.elsewhere
    ) -> Int64? {
        let fixture = CacheFixture(partition: partition, target: target)
        var headers = headers
        headers.add(name: "ETag", value: "\"v\"")
        return try? fixture.store(headers, status: status).freshness.lifetimeSeconds
    }

    @Test(
        "§5.2.2.1 max-age in all its forms; what is malformed, or given twice and differs, is stale",
        arguments: [
            ("max-age=60", 60), ("MAX-AGE=60", 60), ("max-age=\"60\"", 60), ("max-age=060", 60),
            (" , max-age=60 , ", 60),
            ("max-age=0", 0), ("max-age=99999999999", 1 << 31), ("foo=\"a, max-age=5\", max-age=60", 60),
            ("max-age=60, max-age=60", 60), ("foo=\"\\\"\", max-age=60", 60), ("max-age=60;q=1, public", 0),
            ("max-age=60, max-age=30", 0), ("max-age", 0), ("max-age=", 0), ("max-age=-1", 0), ("max-age=1.5", 0),
            ("max-age=60s", 0), ("max-age = 60", 0), ("max-age=60 public", 0), ("max-age=\"60", 0), ("max-age='60'", 0),
            ("max-age=+60", 0), ("max-age=6 0", 0),
        ]
    )
    func maxAge(value: String, seconds: Int) {
        #expect(lifetime(["Cache-Control": value]) == Int64(seconds))
    }

    @Test("§5.2 directives over several lines are one list")
    func lines() {
        let headers = HTTPHeaders([("Cache-Control", "public"), ("cache-control", "max-age=60")])
        #expect(lifetime(headers) == 60)
        #expect(lifetime(HTTPHeaders([("Cache-Control", "max-age=60"), ("Cache-Control", "max-age=61")])) == 0)
    }

    @Test("§5.2.2.10 s-maxage goes before max-age in the shared cache and means nothing in a key's own")
    func sharedMaxAge() {
        let headers: HTTPHeaders = ["Cache-Control": "max-age=60, s-maxage=10"]
        #expect(lifetime(headers, partition: .shared) == 10)
        #expect(lifetime(headers) == 60)
        #expect(lifetime(["Cache-Control": "s-maxage=10"], target: CacheFixture.target) == 60)
        #expect(lifetime(["Cache-Control": "max-age=60, s-maxage=x"], partition: .shared) == 0)
    }

    @Test(
        "§5.3 Expires counts from Date; invalid or in the past is stale",
        arguments: [
            ("Thu, 01 Jan 2026 00:01:00 GMT", 60), ("Thursday, 01-Jan-26 00:01:00 GMT", 60),
            ("THU, 01 jan 2026 00:01:00 Gmt", 60), ("thursday, 01-JAN-26 00:01:00 gmt", 60),
            ("Thu Jan  1 00:01:00 2026", 60),
            ("Wed, 31 Dec 2025 00:00:00 GMT", 0), ("0", 0), ("-1", 0), ("", 0), ("Thu, 01 Jan 2026 00:01:00 UTC", 0),
        ]
    )
    func expires(value: String, seconds: Int) {
        #expect(lifetime(["Date": CacheFixture.date, "Expires": value]) == Int64(seconds))
        #expect(lifetime(["Date": CacheFixture.date, "Expires": value, "Cache-Control": "max-age=5"]) == 5)
    }

    @Test("§5.3 Expires counts from the moment of receipt where there is no Date, and twice the same is once")
    func expiresWithoutDate() {
        #expect(lifetime(["Expires": "Thu, 01 Jan 2026 00:01:00 GMT"]) == 60)
        let same = ("Expires", "Thu, 01 Jan 2026 00:01:00 GMT")
        #expect(lifetime(HTTPHeaders([same, same])) == 60)
        #expect(lifetime(HTTPHeaders([same, ("Expires", "Thu, 01 Jan 2026 00:02:00 GMT")])) == 0)
    }

    @Test("§4.2.2 a reply without explicit freshness gets the default at /v1/audiences and below, and nowhere else")
    func defaults() {
        for target in ["/v1/audiences", "/v1/audiences?page_size=5", "/v1/audiences/", CacheFixture.target] {
            #expect(lifetime([:], target: target) == 60, "\(target)")
        }
        for target in ["/v1/audience", "/v1/audiencesx", "/v1/messages", "/", "/v2/audiences"] {
            #expect(lifetime([:], target: target) == 0, "\(target)")
        }
    }

    @Test("§4.2.2 a default never takes the place of explicit freshness")
    func explicitWins() {
        #expect(lifetime(["Cache-Control": "max-age=5"], target: CacheFixture.target) == 5)
        #expect(lifetime(["Cache-Control": "max-age=0"], target: CacheFixture.target) == 0)
        #expect(lifetime(["Expires": "0"], target: CacheFixture.target) == 0)
    }

    @Test("§4.2.2 errors that may be cached get the negative lifetime", arguments: [404, 405, 410, 414, 501])
    func negative(status: Int) {
        #expect(lifetime([:], status: status, target: CacheFixture.target) == 10)
    }

    @Test("RFC 9213 §2.2 a targeted field goes before Cache-Control and Expires, if it is valid")
    func targeted() {
        func with(_ value: String) -> Int64? {
            lifetime(["Contact-Relay-Cache-Control": value, "Cache-Control": "max-age=60", "Expires": "0"])
        }
        #expect(with("max-age=5") == 5)
        #expect(with("max-age=5;ext=1, foo") == 5)
        #expect(with("public") == 0)
        #expect(with("") == 60)
        #expect(with("max-age=\"5") == 60)
        #expect(with("no-store") == nil)
        #expect(with("no-store=?1, max-age=5") == nil)
        #expect(with("no-store=?0, max-age=5") == 5)
        #expect(with("max-age=5, must-revalidate=?2") == 60)
        #expect(with("Max-Age=5") == 60)
        // Of several members with one key the last counts.
        #expect(with("max-age=5, max-age=7") == 7)
        #expect(with("no-store, max-age=5, no-store=?0") == 5)
        // Tokens, and values that no directive is defined with.
        #expect(with("max-age=5, ext=a/b:c") == 5)
        #expect(with("max-age=5, ext=(a \"b\" 1;p=?0);q") == 5)
        #expect(with("max-age=5, ext=:aGk=:") == 5)
        #expect(with("max-age=5, ext=%\"h%c3%bc\", other=@1700000000, n=-1.5") == 5)
        // Seconds are an integer that is not negative: anything else, and the field counts for nothing.
        for value in ["\"5\"", "(5)", "-1", "1.5", "five", "?1", ":NQ==:", "@5"] {
            #expect(with("max-age=\(value)") == 60, "\(value)")
            #expect(with("no-store, max-age=5, stale-if-error=\(value)") == 60, "\(value)")
        }
        #expect(with("max-age") == 60)
        #expect(with("max-age=7, max-age=(5)") == 60)
        #expect(with("max-age=(5), max-age=7") == 7)
        #expect(with("max-age=5, ext=\"7\"") == 5)
        // The grammar.
        for broken in [
            "max-age=5,", "max-age=5,,public", "max-age=5 public", "max-age=", "max-age=(5", "max-age=:a", "=5",
        ] {
            #expect(with(broken) == 60, "\(broken)")
        }
        #expect(with("  max-age=5 , foo ") == 5)
        #expect(lifetime(["CDN-Cache-Control": "max-age=5", "Cache-Control": "max-age=60"]) == 60)
        let fixture = CacheFixture(target: CacheFixture.elsewhere) { $0.targetedFields.append("CDN-Cache-Control") }
        let stored = try? fixture.store(["CDN-Cache-Control": "max-age=5", "Cache-Control": "no-store"])
        #expect(stored?.freshness.lifetimeSeconds == 5)
    }
}
