import NIOCore
import NIOHTTP1
import ResponseCache
import Testing

@Suite("Prepared hits")
struct WireImageTests {
    private let fixture = CacheFixture()

    private func image(_ headers: HTTPHeaders = [:], at seconds: Int64) throws -> WireImage {
        try #require(fixture.answer(headers, at: seconds).hit).wireImage(nowMilliseconds: seconds * 1000)
    }

    @Test("RFC 9111 §4 a hit is a whole HTTP/1.1 reply with age and cache status")
    func whole() throws {
        try fixture.store(["Date": CacheFixture.date, "Content-Type": "application/json"], body: "{\"data\":{}}")
        #expect(
            try image(at: 7).text == """
                HTTP/1.1 200 OK\r
                Age: 7\r
                Cache-Status: contact-relay; hit; ttl=53\r
                Date: Thu, 01 Jan 2026 00:00:00 GMT\r
                Content-Type: application/json\r
                Content-Length: 11\r
                \r
                {"data":{}}
                """
        )
    }

    @Test("RFC 9211 §2.4 the image is right at every age, however many digits it needs, and ttl falls below zero")
    func everyAge() throws {
        let fixture = CacheFixture()
        try fixture.store(["Cache-Control": "max-age=100, stale-while-revalidate=999999999"], body: "b")
        var held: [WireImage] = []
        for age in [0, 1, 9, 10, 11, 99, 100, 101, 110, 111, 199, 200, 1099, 1100, 9_999, 123_456_789] as [Int64] {
            let hit = try #require(fixture.answer(at: age).hit)
            for _ in 0..<2 {
                let image = hit.wireImage(nowMilliseconds: age * 1000 + 999)
                #expect(image.statusLine == "HTTP/1.1 200 OK")
                #expect(image.values("Age") == ["\(age)"])
                #expect(image.values("Cache-Status") == ["contact-relay; hit; ttl=\(100 - age)"])
                #expect(image.bodyText == "b")
            }
            // Bytes that a connection has not sent yet never change under it.
            held.append(hit.wireImage(nowMilliseconds: age * 1000))
        }
        #expect(held[3].values("Age") == ["10"])
        #expect(held[15].values("Age") == ["123456789"])
    }

    @Test("a hit within the same second is the same bytes, without a copy")
    func noCopy() throws {
        try fixture.store([:])
        let first = try image(at: 3)
        let second = try #require(fixture.answer(at: 3).hit).wireImage(nowMilliseconds: 3999)
        let addresses = [first, second].map { image in
            image.bytes.withUnsafeReadableBytes { UInt(bitPattern: $0.baseAddress) }
        }
        #expect(addresses[0] == addresses[1])
    }

    @Test("a new second is written in place where nobody holds the bytes")
    func inPlace() throws {
        try fixture.store([:])
        let addresses = try (1...9).map { second in
            try image(at: second).bytes.withUnsafeReadableBytes { UInt(bitPattern: $0.baseAddress) }
        }
        #expect(Set(addresses).count == 1)
    }

    @Test("RFC 9110 §9.3.2 HEAD gets the same head, with the body's length, and no body")
    func head() throws {
        try fixture.store(["Content-Type": "text/plain"], body: "four")
        let hit = try #require(fixture.answer(method: .HEAD, at: 1).hit)
        let image = hit.wireImage(nowMilliseconds: 1000)
        #expect(image.values("Content-Length") == ["4"])
        #expect(image.values("Content-Type") == ["text/plain"])
        #expect(image.values("Age") == ["1"])
        #expect(image.bodyText.isEmpty)
    }

    @Test("RFC 9110 §8.6 a 204 has neither body nor length")
    func noContent() throws {
        try fixture.store([:], status: 204, body: "")
        let image = try image(at: 0)
        #expect(image.statusLine == "HTTP/1.1 204 No Content")
        #expect(image.values("Content-Length").isEmpty)
        #expect(image.text.hasSuffix("\r\n\r\n"))
    }

    @Test("additions are this one answer's alone")
    func additions() throws {
        try fixture.store([:])
        let hit = try #require(fixture.answer(at: 70).hit)
        var status = CacheStatus(forward: .stale, detail: "stale-if-error")
        status.forwardStatus = 503
        let image = hit.wireImage(
            nowMilliseconds: 70_000,
            adding: WireAdditions(
                cacheStatus: status,
                connection: "close",
                fields: [("Contact-Relay-Dead", "2"), ("Warning", "x")]
            )
        )
        #expect(image.values("Connection") == ["close"])
        #expect(image.values("Contact-Relay-Dead") == ["2"])
        #expect(
            image.values("Cache-Status")
                == ["contact-relay; fwd=stale; fwd-status=503; ttl=-10; detail=stale-if-error"]
        )
        #expect(image.bodyText == "body")
        let plain = try self.image(at: 71)
        #expect(plain.values("Connection").isEmpty && plain.values("Contact-Relay-Dead").isEmpty)
    }

    @Test("RFC 9211 §2 other caches' members come before this one's")
    func listOrder() throws {
        try fixture.store(
            HTTPHeaders([("Cache-Status", "far; hit"), ("cache-status", "near; fwd=miss"), ("X-A", "1")])
        )
        #expect(
            try image(at: 1).values("Cache-Status") == ["far; hit", "near; fwd=miss", "contact-relay; hit; ttl=59"]
        )
        #expect(try image(at: 15).values("Cache-Status").first == "far; hit")
        #expect(try image(at: 15).values("X-A") == ["1"])
    }

    @Test("a long body is kept apart and shared by all answers")
    func longBody() throws {
        let body = String(repeating: "0123456789", count: 5000)
        try fixture.store(["Content-Type": "text/plain"], body: body)
        let image = try image(at: 1)
        #expect(image.body?.readableBytes == 50_000)
        #expect(image.values("Content-Length") == ["50000"])
        #expect(image.bodyText == body)
        let part = try self.image(["Range": "bytes=10-19"], at: 1)
        #expect(part.bodyText == "0123456789")
        let address = try self.image(at: 9).body?.withUnsafeReadableBytes { UInt(bitPattern: $0.baseAddress) }
        #expect(address == image.body?.withUnsafeReadableBytes { UInt(bitPattern: $0.baseAddress) })
    }

    @Test("fields and body can be had back as they were stored")
    func readBack() throws {
        let headers = HTTPHeaders([
            ("Date", CacheFixture.date), ("X-Colon", "a: b"), ("X-Empty", ""), ("Cache-Status", "far; hit"),
            ("X-Two", "1"),
            ("X-Two", "2"),
        ])
        let stored = try fixture.store(headers, body: "the body")
        let fields = stored.fields
        for name in ["Date", "X-Colon", "X-Empty", "Cache-Status", "X-Two"] {
            #expect(fields[name] == headers[name], "\(name)")
        }
        #expect(String(buffer: stored.body) == "the body")
        _ = try image(at: 12)
        #expect(String(buffer: stored.body) == "the body")
        #expect(stored.fields == fields)
    }
}
