import NIOHTTP1
import ResponseCache
import Testing

@Suite("Serving stale replies (RFC 9111 §4.2.4, RFC 5861)")
struct StaleTests {
    struct Row: Sendable {
        var says: String?
        var target = CacheFixture.target
        var partition = CacheFixture.oneKey
        var at: Int64
        var answer: String
        var onError: String?
        var disconnected: String?
    }

    @Test(
        "what a stale reply may be used for",
        arguments: [
            // RFC 5861 §3 and the configured defaults, which are for replies that state no lifetime.
            Row(says: nil, at: 89, answer: "stale, revalidate"),
            Row(says: nil, at: 90, answer: "validate, stale", onError: "stale", disconnected: "stale"),
            Row(says: nil, at: 60 + 604_800, answer: "validate, stale", onError: "stale", disconnected: "stale"),
            Row(says: nil, at: 61 + 604_800, answer: "validate, stale", onError: "504", disconnected: "504"),
            Row(says: "max-age=10", at: 9, answer: "fresh"),
            Row(says: "max-age=10", at: 10, answer: "validate, stale", onError: "504", disconnected: "stale"),
            Row(says: "max-age=10, stale-while-revalidate=5", at: 14, answer: "stale, revalidate"),
            Row(says: "max-age=10, stale-while-revalidate=5", at: 15, answer: "validate, stale", onError: "504"),
            Row(says: "max-age=10, stale-while-revalidate=0", at: 10, answer: "validate, stale", onError: "504"),
            Row(says: "max-age=10, stale-while-revalidate=x", at: 10, answer: "validate, stale", onError: "504"),
            Row(says: "stale-while-revalidate=5", at: 64, answer: "stale, revalidate"),
            Row(says: "stale-while-revalidate=5", at: 65, answer: "validate, stale", onError: "stale"),
            Row(
                says: "max-age=10",
                target: CacheFixture.elsewhere,
                at: 10,
                answer: "validate, stale",
                onError: "504",
                disconnected: "stale"
            ),
            Row(
                says: "max-age=10, stale-while-revalidate=5",
                target: CacheFixture.elsewhere,
                at: 14,
                answer: "stale, revalidate"
            ),
            // A reply that is stale from the start, because it says so, gets no defaults.
            Row(says: "max-age=0", at: 0, answer: "validate, stale", onError: "504", disconnected: "504"),
            Row(
                says: nil,
                target: CacheFixture.elsewhere,
                at: 0,
                answer: "validate, stale",
                onError: "504",
                disconnected: "504"
            ),
            // RFC 5861 §4.
            Row(says: "max-age=10, stale-if-error=50", at: 15, answer: "validate, stale", onError: "stale"),
            Row(
                says: "max-age=10, stale-if-error=50",
                at: 60,
                answer: "validate, stale",
                onError: "stale",
                disconnected: "stale"
            ),
            Row(
                says: "max-age=10, stale-if-error=50",
                at: 61,
                answer: "validate, stale",
                onError: "504",
                disconnected: "504"
            ),
            Row(
                says: "max-age=10, stale-if-error=0",
                at: 11,
                answer: "validate, stale",
                onError: "504",
                disconnected: "504"
            ),
            Row(says: "max-age=10", at: 10 + 604_800, answer: "validate, stale", disconnected: "stale"),
            Row(says: "max-age=10", at: 11 + 604_800, answer: "validate, stale", disconnected: "504"),
            // RFC 9111 §5.2.2.2, §5.2.2.4: even when the upstream is down.
            Row(
                says: "max-age=10, must-revalidate",
                at: 10,
                answer: "validate, stale",
                onError: "504",
                disconnected: "504"
            ),
            Row(
                says: "max-age=10, must-revalidate, stale-if-error=99",
                at: 11,
                answer: "validate, stale",
                onError: "504",
                disconnected: "504"
            ),
            Row(
                says: "max-age=10 must-revalidate",
                at: 11,
                answer: "validate, stale",
                onError: "504",
                disconnected: "504"
            ),
            Row(says: "max-age=10, no-cache", at: 0, answer: "validate, stale", onError: "504", disconnected: "504"),
            Row(
                says: "max-age=10, no-cache=\"set-cookie\"",
                at: 0,
                answer: "validate, stale",
                onError: "504",
                disconnected: "504"
            ),
            // RFC 9111 §5.2.2.8, §5.2.2.10: for shared caches only.
            Row(says: "proxy-revalidate", at: 61, answer: "stale, revalidate"),
            Row(
                says: "proxy-revalidate",
                partition: .shared,
                at: 61,
                answer: "validate, stale",
                onError: "504",
                disconnected: "504"
            ),
            Row(
                says: "s-maxage=10",
                partition: .shared,
                at: 11,
                answer: "validate, stale",
                onError: "504",
                disconnected: "504"
            ),
        ]
    )
    func table(row: Row) throws {
        let fixture = CacheFixture(partition: row.partition, target: row.target)
        var headers: HTTPHeaders = ["ETag": "\"1\""]
        if let says = row.says { headers.add(name: "Cache-Control", value: says) }
        try fixture.store(headers)
        #expect(fixture.word(at: row.at) == row.answer)
        if let onError = row.onError { #expect(fixture.wordOnError(at: row.at) == onError) }
        if let disconnected = row.disconnected { #expect(fixture.wordDisconnected(at: row.at) == disconnected) }
    }

    @Test("RFC 9111 §5.2.2.2 must-revalidate goes before a client's max-stale")
    func mustRevalidateBeforeMaxStale() throws {
        let fixture = CacheFixture()
        try fixture.store(["Cache-Control": "max-age=10, must-revalidate"])
        #expect(fixture.word(["Cache-Control": "max-stale"], at: 11) == "validate, stale")
        #expect(fixture.wordOnError(["Cache-Control": "max-stale"], at: 11) == "504")
    }

    @Test("RFC 5861 §4 a client's own stale-if-error goes before the reply's")
    func requestStaleIfError() throws {
        let fixture = CacheFixture()
        try fixture.store(["Cache-Control": "max-age=10"])
        #expect(fixture.wordOnError(["Cache-Control": "stale-if-error=5"], at: 100) == "504")
        #expect(fixture.wordOnError(["Cache-Control": "stale-if-error=90"], at: 100) == "stale")
        #expect(fixture.wordOnError(["Cache-Control": "no-cache"], at: 5) == "stale")
        #expect(fixture.wordOnError(["Cache-Control": "max-age=0"], at: 100) == "504")
        #expect(fixture.wordDisconnected(["Cache-Control": "max-age=0"], at: 100) == "stale")
        #expect(fixture.wordDisconnected(["Cache-Control": "stale-if-error=5"], at: 100) == "504")
    }

    @Test("RFC 5861 §4 a 404 stands in while the upstream fails; it is not served stale otherwise")
    func negative() throws {
        let fixture = CacheFixture()
        try fixture.store([:], status: 404)
        #expect(fixture.word(at: 9) == "fresh")
        #expect(fixture.word(at: 10) == "validate, stale")
        #expect(fixture.wordOnError(at: 10) == "stale")
    }

    @Test("RFC 5861 §4 these statuses are failures, and all but 500 say that the request was not served")
    func failures() {
        let unserved = [408, 425, 429, 502, 503, 504] + Array(520...530)
        for status in 100...599 {
            #expect(MemoryCache.isUnserved(status) == unserved.contains(status), "\(status)")
            #expect(MemoryCache.isFailure(status) == (status == 500 || unserved.contains(status)), "\(status)")
        }
    }
}
