import NIOHTTP1
import ResponseCache
import Testing

@Suite("Validation and freshening (RFC 9111 §3.2, §4.3)")
struct ValidationTests {
    private let fixture = CacheFixture()
    private static let modified = "Wed, 31 Dec 2025 00:00:00 GMT"

    private func freshen(_ headers: HTTPHeaders, asked: HTTPHeaders = [:], at seconds: Int64 = 100)
        -> FreshenedResponse?
    {
        guard let validation = fixture.answer(at: seconds).validation else { return nil }
        return fixture.cache.freshen(
            validation,
            by: CacheFixture.head(304, headers, at: seconds),
            to: CacheFixture.request(asked),
            key: fixture.key()
        )
    }

    @Test("§4.3.1 a validation asks with the stored validators in place of the client's conditions and ranges")
    func conditions() throws {
        try fixture.store(["ETag": "W/\"a\"", "Last-Modified": Self.modified])
        var headers: HTTPHeaders = [
            "If-None-Match": "\"mine\"", "Range": "bytes=0-1", "If-Range": "\"x\"", "Accept": "*/*",
        ]
        try #require(fixture.answer(headers, at: 100).validation).addConditions(to: &headers)
        #expect(headers["If-None-Match"] == ["W/\"a\""])
        #expect(headers["If-Modified-Since"] == [Self.modified])
        #expect(headers["Accept"] == ["*/*"])
        #expect(!headers.contains(name: "Range") && !headers.contains(name: "If-Range"))
    }

    @Test("§4.3.1 without a validator the request is unconditional; a malformed one is none")
    func noValidator() throws {
        try fixture.store(["ETag": "not-quoted", "Last-Modified": "long ago"])
        var headers: HTTPHeaders = ["If-None-Match": "\"mine\""]
        try #require(fixture.answer(at: 100).validation).addConditions(to: &headers)
        #expect(headers.isEmpty)
    }

    @Test("§4.3.4 a 304 makes the stored reply fresh again, from the moment of the 304")
    func freshAgain() throws {
        try fixture.store(["ETag": "\"a\"", "Date": CacheFixture.date, "Age": "7"], body: "kept")
        let fresh = try #require(freshen(["ETag": "\"a\"", "Date": "Thu, 01 Jan 2026 00:01:40 GMT"]))
        #expect(fresh.refusal == nil)
        #expect(fresh.response.freshness.ageSeconds(100_000) == 0)
        #expect(fixture.word(at: 159) == "fresh")
        let image = try #require(fixture.answer(at: 105).hit).wireImage(nowMilliseconds: 105_000)
        #expect(image.bodyText == "kept")
        #expect(image.values("Age") == ["5"])
        #expect(image.values("Date") == ["Thu, 01 Jan 2026 00:01:40 GMT"])
        #expect(fixture.cache.counters.revalidated == 1)
    }

    @Test("§4.2.3 a 304's own Age counts, and one without Date is dated by its receipt")
    func ageOf304() throws {
        try fixture.store(["ETag": "\"a\"", "Date": CacheFixture.date])
        let fresh = try #require(freshen(["Age": "30"]))
        #expect(fresh.response.freshness.ageSeconds(100_000) == 30)
        #expect(fresh.response.fields["Date"] == ["Thu, 01 Jan 2026 00:01:40 GMT"])
    }

    @Test("§3.2 each field of the 304 replaces all stored lines of its name; others stay")
    func update() throws {
        try fixture.store(
            HTTPHeaders([
                ("ETag", "\"a\""), ("X-List", "1"), ("X-List", "2"), ("X-Kept", "yes"), ("Cache-Control", "max-age=10"),
            ])
        )
        let fresh = try #require(
            freshen(HTTPHeaders([("x-list", "3"), ("x-list", "4"), ("X-New", "5"), ("Cache-Control", "max-age=99")]))
        )
        let fields = fresh.response.fields
        #expect(fields["X-List"] == ["3", "4"])
        #expect(fields["X-Kept"] == ["yes"])
        #expect(fields["X-New"] == ["5"])
        #expect(fresh.response.freshness.lifetimeSeconds == 99)
    }

    @Test(
        "§3.2 what belongs to the connection or describes the stored body is not taken from a 304",
        arguments: ["Content-Length", "Content-Encoding", "Content-Type", "Content-Range", "Connection", "Set-Cookie"]
    )
    func keptFields(name: String) throws {
        try fixture.store(["ETag": "\"a\"", "Content-Type": "application/json", "Content-Encoding": "br"])
        let fresh = try #require(freshen([name: "0"]))
        #expect(fresh.response.fields["Content-Type"] == ["application/json"])
        #expect(fresh.response.fields["Content-Encoding"] == ["br"])
        let image = CacheHit(fresh.response, for: CacheFixture.request()).wireImage(nowMilliseconds: 100_000)
        #expect(image.values("Content-Length") == ["4"])
        #expect(image.values("Content-Range").isEmpty && image.values("Connection").isEmpty)
        #expect(image.values("Set-Cookie").isEmpty)
    }

    struct Selection: Sendable {
        var stored: [String: String]
        var confirms: [String: String]
        var isSelected: Bool
    }

    @Test(
        "§4.3.4 a 304 updates only the reply that it speaks of",
        arguments: [
            Selection(stored: ["ETag": "\"a\""], confirms: ["ETag": "\"a\""], isSelected: true),
            Selection(stored: ["ETag": "\"a\""], confirms: ["ETag": "\"b\""], isSelected: false),
            Selection(stored: ["ETag": "W/\"a\""], confirms: ["ETag": "W/\"a\""], isSelected: true),
            Selection(stored: ["ETag": "\"a\""], confirms: ["ETag": "W/\"a\""], isSelected: true),
            Selection(stored: ["ETag": "W/\"a\""], confirms: ["ETag": "\"a\""], isSelected: false),
            Selection(stored: ["ETag": "\"a\""], confirms: ["ETag": "junk"], isSelected: false),
            Selection(stored: ["ETag": "\"a\""], confirms: [:], isSelected: true),
            Selection(stored: ["Last-Modified": modified], confirms: ["Last-Modified": modified], isSelected: true),
            Selection(
                stored: ["Last-Modified": modified],
                confirms: ["Last-Modified": CacheFixture.date],
                isSelected: false
            ),
            Selection(stored: ["Last-Modified": modified], confirms: [:], isSelected: true),
        ]
    )
    func selection(row: Selection) throws {
        try fixture.store(HTTPHeaders(row.stored.map { ($0, $1) }))
        #expect((freshen(HTTPHeaders(row.confirms.map { ($0, $1) })) != nil) == row.isSelected)
        #expect(fixture.word(at: 101) == (row.isSelected ? "fresh" : "validate, stale"))
    }

    @Test("§3 a 304 that forbids storing ends the storing, after one last answer")
    func noStore() throws {
        try fixture.store(["ETag": "\"a\""], body: "last")
        let fresh = try #require(freshen(["Cache-Control": "no-store"]))
        #expect(fresh.refusal == .noStore)
        let image = CacheHit(fresh.response, for: CacheFixture.request()).wireImage(nowMilliseconds: 100_000)
        #expect(image.bodyText == "last")
        #expect(fixture.word(at: 101) == "uri-miss")
    }

    @Test("§5.2.1.5 a validating request's own no-store changes nothing of what is stored")
    func requestNoStore() throws {
        try fixture.store(["ETag": "\"a\""])
        let fresh = try #require(freshen([:], asked: ["Cache-Control": "no-store"]))
        #expect(fresh.refusal == .requestNoStore)
        #expect(fixture.word(at: 101) == "validate, stale")
    }

    @Test("§4.3.3 a full reply to a validation takes the stored one's place")
    func fullReply() throws {
        try fixture.store(["ETag": "\"a\""], body: "old")
        let validation = try #require(fixture.answer(at: 100).validation)
        try fixture.store(["ETag": "\"b\""], body: "new", at: 100, token: validation.token)
        let image = try #require(fixture.answer(at: 101).hit).wireImage(nowMilliseconds: 101_000)
        #expect(image.bodyText == "new")
        #expect(fixture.cache.counters.entries == 1)
    }

    @Test("§4.3.5 a reply to HEAD updates what it agrees with and invalidates what it does not")
    func headReply() throws {
        func note(_ headers: HTTPHeaders) {
            let key = fixture.key()
            fixture.cache.note(
                head: CacheFixture.head(200, headers, at: 50),
                to: CacheFixture.request([:], .HEAD),
                key: key,
                since: fixture.cache.fetchToken(key)
            )
        }
        try fixture.store(["ETag": "\"a\""], body: "four")
        note(["ETag": "\"a\"", "Content-Length": "4", "X-New": "1"])
        #expect(fixture.word(at: 100) == "fresh")
        #expect(fixture.answer(at: 100).hit?.response.fields["X-New"] == ["1"])
        note(["ETag": "\"b\"", "Content-Length": "4"])
        #expect(fixture.word(at: 51) == "validate, stale")
        try fixture.store(["ETag": "\"a\""], body: "four", at: 50)
        note(["ETag": "\"a\"", "Content-Length": "5"])
        #expect(fixture.word(at: 51) == "validate, stale")
    }
}
