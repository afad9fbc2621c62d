import NIOHTTP1
import ResponseCache
import Testing

@Suite("Clients' own conditions and ranges (RFC 9111 §4.3.2, RFC 9110 §13.2.2, §14)")
struct PreconditionTests {
    struct Row: Sendable {
        var tag: String? = "\"a\""
        var modified: String? = "Wed, 31 Dec 2025 00:00:00 GMT"
        var status = 200
        var asks: [String: String]
        var isNotModified: Bool
    }

    private static let then = "Wed, 31 Dec 2025 00:00:00 GMT"
    private static let before = "Tue, 30 Dec 2025 23:59:59 GMT"

    @Test(
        "RFC 9110 §13.2.2 If-None-Match decides alone where it is, If-Modified-Since where it is not",
        arguments: [
            Row(asks: ["If-None-Match": "\"a\""], isNotModified: true),
            Row(asks: ["If-None-Match": "W/\"a\""], isNotModified: true),
            Row(tag: "W/\"a\"", asks: ["If-None-Match": "\"a\""], isNotModified: true),
            Row(tag: "W/\"a\"", asks: ["If-None-Match": "W/\"a\""], isNotModified: true),
            Row(asks: ["If-None-Match": "\"b\""], isNotModified: false),
            Row(asks: ["If-None-Match": "\"b\", \"a\""], isNotModified: true),
            Row(asks: ["If-None-Match": ",\"b\" ,, W/\"a\","], isNotModified: true),
            Row(tag: "\"a,b\"", asks: ["If-None-Match": "\"x\", \"a,b\""], isNotModified: true),
            Row(asks: ["If-None-Match": "*"], isNotModified: true),
            Row(tag: nil, asks: ["If-None-Match": "*"], isNotModified: true),
            Row(tag: nil, asks: ["If-None-Match": "\"a\""], isNotModified: false),
            Row(asks: ["If-None-Match": "a"], isNotModified: false),
            Row(asks: ["If-None-Match": "\"a"], isNotModified: false),
            Row(asks: ["If-None-Match": "\"A\""], isNotModified: false),
            Row(asks: ["If-None-Match": "w/\"a\""], isNotModified: false),
            Row(asks: ["If-None-Match": "\"a\" \"b\""], isNotModified: false),
            Row(asks: ["If-None-Match": ""], isNotModified: false),
            // Precedence.
            Row(asks: ["If-None-Match": "\"b\"", "If-Modified-Since": then], isNotModified: false),
            Row(asks: ["If-None-Match": "\"a\"", "If-Modified-Since": before], isNotModified: true),
            Row(tag: nil, asks: ["If-None-Match": "\"a\"", "If-Modified-Since": then], isNotModified: false),
            // Dates.
            Row(asks: ["If-Modified-Since": then], isNotModified: true),
            Row(asks: ["If-Modified-Since": before], isNotModified: false),
            Row(asks: ["If-Modified-Since": CacheFixture.date], isNotModified: true),
            Row(asks: ["If-Modified-Since": "Wed Dec 31 00:00:00 2025"], isNotModified: true),
            Row(asks: ["If-Modified-Since": "yesterday"], isNotModified: false),
            Row(modified: nil, asks: ["If-Modified-Since": CacheFixture.date], isNotModified: false),
            Row(modified: nil, asks: ["If-Modified-Since": then], isNotModified: false),
            // Nothing dates what the relay has laid writes over: its base is older than they are.
            Row(
                tag: "\"relay-0123\"",
                modified: nil,
                asks: ["If-Modified-Since": CacheFixture.date],
                isNotModified: false
            ),
            Row(tag: "\"relay-0123\"", asks: ["If-Modified-Since": CacheFixture.date], isNotModified: false),
            Row(tag: "\"relay-0123\"", asks: ["If-None-Match": "\"relay-0123\""], isNotModified: true),
            // Only what would be a success (RFC 9110 §13.2.1).
            Row(status: 404, asks: ["If-None-Match": "\"a\""], isNotModified: false),
            Row(status: 301, asks: ["If-None-Match": "*"], isNotModified: false),
        ]
    )
    func table(row: Row) throws {
        let fixture = CacheFixture()
        var headers: HTTPHeaders = ["Date": CacheFixture.date]
        if let tag = row.tag { headers.add(name: "ETag", value: tag) }
        if let modified = row.modified { headers.add(name: "Last-Modified", value: modified) }
        try fixture.store(headers, status: row.status)
        for method in [HTTPMethod.GET, .HEAD] {
            let hit = try #require(fixture.answer(HTTPHeaders(row.asks.map { ($0, $1) }), method: method).hit)
            #expect((hit.form == .notModified) == row.isNotModified)
            #expect(hit.status == (row.isNotModified ? 304 : row.status))
        }
    }

    @Test("§4.3.2 If-None-Match over several lines is one list")
    func lines() throws {
        let fixture = CacheFixture()
        try fixture.store(["ETag": "\"a\""])
        let asks = HTTPHeaders([("If-None-Match", "\"x\""), ("if-none-match", "\"a\"")])
        #expect(fixture.answer(asks).hit?.form == .notModified)
    }

    @Test("RFC 9110 §15.4.5 a 304 carries what identifies the stored reply, and no body")
    func notModifiedImage() throws {
        let fixture = CacheFixture()
        try fixture.store([
            "ETag": "\"a\"", "Cache-Control": "max-age=60", "Vary": "Accept", "Content-Type": "application/json",
            "Date": CacheFixture.date, "X-Other": "1",
        ])
        let image = try #require(fixture.answer(["If-None-Match": "\"a\""], at: 5).hit).wireImage(nowMilliseconds: 5000)
        #expect(image.statusLine == "HTTP/1.1 304 Not Modified")
        #expect(image.values("ETag") == ["\"a\""])
        #expect(image.values("Cache-Control") == ["max-age=60"])
        #expect(image.values("Vary") == ["Accept"])
        #expect(image.values("Date") == [CacheFixture.date])
        #expect(image.values("Age") == ["5"])
        #expect(image.values("Cache-Status") == ["contact-relay; hit; ttl=55"])
        #expect(image.values("Content-Type").isEmpty && image.values("Content-Length").isEmpty)
        #expect(image.bodyText.isEmpty)
    }

    @Test(
        "RFC 9110 §14.1.2 one range is answered with its bytes",
        arguments: [
            ("bytes=0-3", "0123", "bytes 0-3/10"), ("bytes=8-", "89", "bytes 8-9/10"),
            ("bytes=-3", "789", "bytes 7-9/10"),
            ("bytes=-30", "0123456789", "bytes 0-9/10"), ("bytes=5-99999999999", "56789", "bytes 5-9/10"),
            ("BYTES=9-9", "9", "bytes 9-9/10"),
        ]
    )
    func ranges(asked: String, bytes: String, contentRange: String) throws {
        let fixture = CacheFixture()
        try fixture.store([:], body: "0123456789")
        let image = try #require(fixture.answer(["Range": asked]).hit).wireImage(nowMilliseconds: 0)
        #expect(image.statusLine == "HTTP/1.1 206 Partial Content")
        #expect(image.bodyText == bytes)
        #expect(image.values("Content-Range") == [contentRange])
        #expect(image.values("Content-Length") == [String(bytes.utf8.count)])
    }

    @Test(
        "RFC 9110 §14.2 what is no single range of bytes is answered with all of it",
        arguments: [
            "bytes=0-1,3-4", "bytes=", "bytes=-", "bytes=3-2", "bytes=a-b", "lines=0-3", "0-3", "bytes=0-3-5",
            "bytes=+1-2",
        ]
    )
    func ignoredRanges(asked: String) throws {
        let fixture = CacheFixture()
        try fixture.store([:], body: "0123456789")
        #expect(fixture.answer(["Range": asked]).hit?.form == .whole)
    }

    @Test("RFC 9110 §15.5.17 a range behind the end is 416", arguments: ["bytes=10-", "bytes=10-11", "bytes=-0"])
    func unsatisfiable(asked: String) throws {
        let fixture = CacheFixture()
        try fixture.store([:], body: "0123456789")
        let image = try #require(fixture.answer(["Range": asked]).hit).wireImage(nowMilliseconds: 0)
        #expect(image.statusLine.hasPrefix("HTTP/1.1 416 "))
        #expect(image.values("Content-Range") == ["bytes */10"])
        #expect(image.values("Content-Length") == ["0"])
    }

    @Test(
        "RFC 9110 §13.1.5 If-Range must hold strongly, else all is sent",
        arguments: [
            ("\"a\"", "\"a\"", true), ("\"a\"", "\"b\"", false), ("W/\"a\"", "W/\"a\"", false),
            ("\"a\"", "W/\"a\"", false),
            ("\"a\"", PreconditionTests.then, true), ("\"a\"", PreconditionTests.before, false),
            ("\"a\"", "junk", false),
        ]
    )
    func ifRange(tag: String, condition: String, holds: Bool) throws {
        let fixture = CacheFixture()
        try fixture.store(["ETag": tag, "Last-Modified": Self.then, "Date": CacheFixture.date], body: "0123456789")
        let form = fixture.answer(["Range": "bytes=0-1", "If-Range": condition]).hit?.form
        #expect(form == (holds ? .partial(0..<2) : .whole))
    }

    @Test("RFC 9110 §13.2.2 a range is looked at only once the conditions have let the request through")
    func conditionsBeforeRanges() throws {
        let fixture = CacheFixture()
        try fixture.store(["ETag": "\"a\""], body: "0123456789")
        #expect(fixture.answer(["Range": "bytes=0-1", "If-None-Match": "\"a\""]).hit?.form == .notModified)
        #expect(fixture.answer(["Range": "bytes=0-1", "If-None-Match": "\"b\""]).hit?.form == .partial(0..<2))
        #expect(fixture.answer(["Range": "bytes=0-1"], method: .HEAD).hit?.form == .whole)
    }
}
