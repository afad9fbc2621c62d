import NIOHTTP1
import ResponseCache
import Testing

@Suite("Request directives (RFC 9111 §5.2.1, §5.4)")
struct RequestDirectiveTests {
    struct Row: Sendable {
        var says: String
        var at: Int64
        var answer: String
    }

    @Test(
        "what a request says about the age it accepts",
        arguments: [
            // A reply that is fresh for 60 s, and served stale for 30 s more.
            Row(says: "", at: 59, answer: "fresh"),
            Row(says: "", at: 60, answer: "stale, revalidate"),
            Row(says: "", at: 90, answer: "validate, stale"),
            Row(says: "no-cache", at: 1, answer: "validate, request"),
            Row(says: "NO-CACHE", at: 1, answer: "validate, request"),
            Row(says: "max-age=0", at: 1, answer: "validate, request"),
            Row(says: "max-age=10", at: 10, answer: "fresh"),
            Row(says: "max-age=10", at: 11, answer: "validate, request"),
            Row(says: "max-age=\"10\"", at: 11, answer: "validate, request"),
            Row(says: "max-age=ten", at: 1, answer: "validate, request"),
            Row(says: "max-age=10, max-age=5", at: 6, answer: "validate, request"),
            Row(says: "max-age=1000", at: 61, answer: "validate, stale"),
            Row(says: "max-age=1000, max-stale=100", at: 61, answer: "stale, revalidate"),
            Row(says: "max-age=50, max-stale=100", at: 61, answer: "validate, request"),
            Row(says: "min-fresh=10", at: 50, answer: "fresh"),
            Row(says: "min-fresh=10", at: 51, answer: "validate, request"),
            Row(says: "min-fresh=10", at: 61, answer: "validate, stale"),
            Row(says: "min-fresh=x", at: 1, answer: "validate, request"),
            Row(says: "min-fresh=5, min-fresh=10", at: 51, answer: "validate, request"),
            Row(says: "max-stale", at: 1_000_000, answer: "stale"),
            Row(says: "max-stale=10", at: 70, answer: "stale, revalidate"),
            Row(says: "max-stale=10", at: 71, answer: "validate, stale"),
            Row(says: "max-stale=x", at: 61, answer: "validate, stale"),
            Row(says: "max-stale=40", at: 100, answer: "stale"),
            Row(says: "max-stale=40", at: 101, answer: "validate, stale"),
            Row(says: "max-stale, max-stale=40", at: 101, answer: "validate, stale"),
            Row(says: "max-stale=x", at: 101, answer: "validate, stale"),
            Row(says: "only-if-cached", at: 1, answer: "fresh"),
            Row(says: "only-if-cached", at: 100, answer: "504"),
            Row(says: "only-if-cached, no-cache", at: 1, answer: "504"),
            Row(says: "only-if-cached, max-stale", at: 100, answer: "stale"),
            Row(says: "no-store", at: 1, answer: "fresh"),
            Row(says: "no-transform, foo=bar", at: 1, answer: "fresh"),
        ]
    )
    func table(row: Row) throws {
        let fixture = CacheFixture()
        try fixture.store([:])
        #expect(fixture.word(row.says.isEmpty ? [:] : ["Cache-Control": row.says], at: row.at) == row.answer)
    }

    @Test("§5.2.1.7 only-if-cached with nothing stored is 504")
    func onlyIfCached() {
        #expect(CacheFixture().word(["Cache-Control": "only-if-cached"]) == "504")
    }

    @Test("§5.4 Pragma: no-cache is no-cache where there is no Cache-Control")
    func pragma() throws {
        let fixture = CacheFixture()
        try fixture.store([:])
        #expect(fixture.word(["Pragma": "no-cache"]) == "validate, request")
        #expect(fixture.word(["Pragma": "x, No-Cache"]) == "validate, request")
        #expect(fixture.word(["Pragma": "no-cache", "Cache-Control": "max-age=10"]) == "fresh")
    }

    @Test(
        "§4.3.2, §4 requests that only the upstream may answer go past the cache",
        arguments: [
            (HTTPMethod.GET, "If-Match"), (.GET, "If-Unmodified-Since"), (.HEAD, "if-match"), (.POST, "X-Any"),
            (.OPTIONS, "X-Any"),
        ]
    )
    func bypass(method: HTTPMethod, field: String) throws {
        let fixture = CacheFixture()
        try fixture.store([:])
        #expect(fixture.answer([field: "\"1\""], method: method).word == "bypass")
    }
}
