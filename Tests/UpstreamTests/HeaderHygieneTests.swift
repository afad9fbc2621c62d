import NIOHTTP1
import Testing
import Upstream

@Suite("Header hygiene (RFC 9110 §7.6)")
struct HeaderHygieneTests {
    private static let hostile: HTTPHeaders = [
        "Host": "127.0.0.1:8080",
        "Connection": "keep-alive, X-Private , ,x-other",
        "connection": "X-Third",
        "Keep-Alive": "timeout=5",
        "Proxy-Connection": "keep-alive",
        "TE": "trailers",
        "Trailer": "X-Checksum",
        "Transfer-Encoding": "chunked",
        "Upgrade": "websocket",
        "Proxy-Authorization": "Basic abc",
        "X-PRIVATE": "1",
        "X-Other": "2",
        "X-Third": "3",
        "Expect": "100-continue",
        "Content-Length": "5",
        "x-dexatel-key": "secret",
        "Content-Type": "application/json",
        "Accept": "a",
        "accept": "b",
        "Via": "1.0 first",
    ]

    @Test("a request keeps what is meant for the upstream and nothing else")
    func request() {
        let forwarded = HeaderHygiene.forwardedRequest(Self.hostile, version: .http1_0)
        let pairs = forwarded.map { "\($0.name): \($0.value)" }
        #expect(
            pairs == [
                "Content-Type: application/json", "Accept: a", "accept: b", "Via: 1.0 first",
                "Via: 1.0 contact-relay \(HeaderHygiene.instance)",
            ]
        )
    }

    @Test("a request that this process has sent is known again, and another relay's is not")
    func loops() throws {
        var headers = HTTPHeaders()
        HeaderHygiene.addRequestVia(&headers)
        let own = try #require(headers.first(name: "Via"))
        #expect(HeaderHygiene.isOwn(via: own))
        #expect(HeaderHygiene.isOwn(via: "1.0 first, \(own), 1.1 last"))
        for foreign in ["1.1 contact-relay", "1.1 contact-relay (instance 0)", "", "1.1 x \(HeaderHygiene.instance)"] {
            #expect(!HeaderHygiene.isOwn(via: foreign))
        }
    }

    @Test("a reply keeps its length and loses what concerned the connection")
    func reply() {
        let forwarded = HeaderHygiene.forwardedReply([
            "Date": "Sun, 06 Nov 1994 08:49:37 GMT", "Content-Length": "2", "Connection": "close, X-Hop",
            "X-Hop": "1", "Keep-Alive": "max=1", "Proxy-Authenticate": "Basic", "Set-Cookie": "a=b",
        ])
        #expect(
            forwarded.map(\.name) == ["Date", "Content-Length", "Set-Cookie", "Via"]
        )
        #expect(forwarded["Via"] == ["1.1 contact-relay"])
    }

    @Test("a stored write carries the allow-list only, and no credentials")
    func stored() {
        var headers = Self.hostile
        headers.add(name: "Authorization", value: "Bearer x")
        headers.add(name: "Cookie", value: "a=b")
        headers.add(name: "If-Match", value: "*")
        headers.add(name: "IDEMPOTENCY-KEY", value: "k1")
        headers.add(name: "traceparent", value: "00-1-2-01")
        headers.add(name: "Connection", value: "traceparent")
        let stored = HeaderHygiene.storedWrite(headers)
        #expect(
            stored.map { "\($0.name): \($0.value)" } == [
                "Content-Type: application/json", "Accept: a", "accept: b", "IDEMPOTENCY-KEY: k1",
            ]
        )
    }

    @Test("the allow-list has no credentials, preconditions or framing")
    func allowList() {
        let names = Set(HeaderHygiene.forwardedWriteHeaders.map { $0.lowercased() })
        for name in [
            "x-dexatel-key", "authorization", "cookie", "proxy-authorization", "if-match", "if-none-match",
            "content-length", "transfer-encoding", "host", "connection", "expect", "prefer", "accept-encoding",
        ] {
            #expect(!names.contains(name))
        }
    }
}
