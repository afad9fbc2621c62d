import NIOCore
import NIOHTTP1
import ResponseCache
import Testing

@Suite("Vary (RFC 9111 §4.1)")
struct VaryTests {
    private let fixture = CacheFixture { $0.maxVariantsPerTarget = 3 }

    private func body(_ headers: HTTPHeaders) -> String? {
        fixture.answer(headers).hit?.wireImage(nowMilliseconds: 0).bodyText
    }

    @Test("§4.1 a stored reply answers requests with the same values of the fields that Vary names, and no others")
    func variants() throws {
        try fixture.store(["Vary": "Accept-Language"], body: "german", asked: ["Accept-Language": "de"])
        #expect(fixture.word(["Accept-Language": "en"]) == "vary-miss")
        #expect(fixture.word() == "vary-miss")
        try fixture.store(["Vary": "accept-language"], body: "english", asked: ["accept-language": "en"])
        try fixture.store(["Vary": "Accept-Language"], body: "none")
        #expect(body(["Accept-Language": "de"]) == "german")
        #expect(body(["ACCEPT-LANGUAGE": "en"]) == "english")
        #expect(body([:]) == "none")
        #expect(body(["Accept-Language": ""]) == nil)
    }

    @Test("§4.1 whitespace and the number of lines do not matter, the order of other values does")
    func normalisation() throws {
        try fixture.store(["Vary": "Accept, X-Other"], asked: ["Accept": "a,b ; q=1", "X-Other": " 1 "])
        #expect(fixture.word(HTTPHeaders([("accept", "a"), ("Accept", " b ; q=1 "), ("x-other", "1")])) == "fresh")
        #expect(fixture.word(["Accept": "a,b ; q=1"]) == "vary-miss")
        try fixture.store(["Vary": "X-Other"], asked: ["X-Other": "1, 2"])
        #expect(fixture.word(["X-Other": "2, 1"]) == "vary-miss")
        #expect(fixture.word(["X-Other": "1,2"]) == "fresh")
    }

    @Test(
        "§4.1 lists of weighted choices match whatever the order and the case of their members, and their weights count",
        arguments: [
            ("Accept-Language", "de, en", "en, de", true), ("Accept-Language", "de-CH, en", "DE-ch,EN", true),
            ("Accept-Language", "de;q=0.8, en", "en;q=1, de; Q=0.800", true),
            ("Accept-Language", "de;q=0.8, en;q=0.7", "en;q=0.7, de;q=0.8", true),
            ("Accept-Language", "de;q=0.8, en", "de, en;q=0.8", false),
            ("Accept-Language", "de;q=0.8", "de;q=0.9", false), ("Accept-Language", "de;q=0", "de", false),
            ("Accept-Language", "de;q=0.85", "de;q=0.850", true), ("Accept-Language", "de;q=0.8", "de;q=0.08", false),
            ("Accept-Language", "de", "de, en", false), ("Accept-Language", "de", "de-CH", false),
            ("Accept-Language", "*", "de", false), ("Accept-Language", "de, , en", "en,de", true),
            // What breaks the grammar matches itself.
            ("Accept-Language", "de;q=2, en", "en, de;q=2", false), ("Accept-Language", "de;x, en", "de;x,en", true),
            ("Accept", "text/html, application/json;q=0.5", "APPLICATION/JSON;q=0.5,text/HTML", true),
            ("Accept", "text/html;level=A", "text/html;LEVEL=A", true),
            ("Accept", "text/html;level=A", "text/html;level=a", false),
            ("Accept-Encoding", "gzip, br", "BR, gzip", true),
            ("Accept-Charset", "utf-8, latin1", "latin1,UTF-8", true),
            ("Accept", "text/html;x=\"a,b\"", "text/html;x=\"b,a\"", false),
        ]
    )
    func negotiation(field: String, one: String, other: String, isSame: Bool) throws {
        let fixture = CacheFixture()
        for (asked, asking) in [(one, other), (other, one)] {
            fixture.cache.purge(path: "/")
            try fixture.store(["Vary": field], asked: [field: asked])
            #expect(fixture.word([field: asked]) == "fresh")
            #expect(fixture.word([field: asking]) == (isSame ? "fresh" : "vary-miss"))
        }
    }

    @Test("§4.1 what Connection names, or belongs to the connection, is not what a reply was chosen by")
    func strippedFields() throws {
        let names = "Accept-Language, X-Tenant, TE, Proxy-Authorization, Host, Content-Length, Expect"
        try fixture.store(
            ["Vary": names],
            body: "none",
            asked: [
                "Accept-Language": "de", "X-Tenant": "1", "TE": "trailers", "Connection": "accept-language , X-TENANT",
                "Host": "a",
            ]
        )
        #expect(body([:]) == "none")
        #expect(body(["TE": "gzip", "Host": "b", "Proxy-Authorization": "x"]) == "none")
        #expect(body(["X-Tenant": "2", "Connection": "X-Tenant"]) == "none")
        #expect(body(["Accept-Language": "de", "X-Tenant": "1"]) == nil)
        #expect(body(["X-Tenant": "1"]) == nil)
        #expect(fixture.refusal(["Vary": "Via"]) == .vary)
        // Credentials that are not forwarded are not kept either.
        let named: HTTPHeaders = ["Cookie": "a", "Connection": "Cookie"]
        #expect(fixture.refusal(["Vary": "Cookie"], asked: named) == nil)
        #expect(fixture.refusal(["Vary": "Cookie"], asked: ["Cookie": "a"]) == .vary)
    }

    @Test("§4.1 values that Unicode calls equal are different values")
    func bytes() throws {
        try fixture.store(["Vary": "X-Name"], body: "composed", asked: ["X-Name": "caf\u{E9}"])
        #expect(fixture.word(["X-Name": "cafe\u{301}"]) == "vary-miss")
        try fixture.store(["Vary": "X-Name"], body: "decomposed", asked: ["X-Name": "cafe\u{301}"])
        #expect(body(["X-Name": "caf\u{E9}"]) == "composed")
        #expect(body(["X-Name": "cafe\u{301}"]) == "decomposed")
    }

    @Test(
        "§4.1 a reply that varies by everything is not stored",
        arguments: ["*", "Accept, *", "Accept,*", "bad name"]
    )
    func star(value: String) {
        #expect(fixture.refusal(["Vary": value, "Cache-Control": "max-age=60"]) == .vary)
        #expect(
            fixture.refusal(HTTPHeaders([("Vary", "Accept"), ("Vary", value), ("Cache-Control", "max-age=60")]))
                == .vary
        )
    }

    @Test("§4.1 a new reply takes the place of the one with the same values")
    func replacement() throws {
        try fixture.store(["Vary": "Accept"], body: "old", asked: ["Accept": "a"])
        try fixture.store(["Vary": "Accept"], body: "other", asked: ["Accept": "b"])
        try fixture.store(["Vary": "Accept"], body: "new", asked: ["Accept": "a"])
        #expect(body(["Accept": "a"]) == "new")
        #expect(body(["Accept": "b"]) == "other")
        #expect(fixture.cache.counters.entries == 2)
        try fixture.store([:], body: "for all", asked: ["Accept": "b"])
        #expect(body(["Accept": "b"]) == "for all")
    }

    @Test("§4.1 of several that fit, the one with the latest Date is chosen")
    func latest() throws {
        try fixture.store(
            ["Vary": "Accept", "Date": "Thu, 01 Jan 2026 00:00:00 GMT"],
            body: "newer",
            asked: ["Accept": "a", "X": "1"]
        )
        try fixture.store(
            ["Vary": "X", "Date": "Wed, 31 Dec 2025 23:59:59 GMT"],
            body: "older",
            asked: ["Accept": "b", "X": "2"]
        )
        #expect(body(["Accept": "a", "X": "2"]) == "newer")
    }

    @Test("§4.1 what the upstream is asked with counts, where that is not what the client has sent")
    func forwarded() throws {
        func request(_ coding: String?) -> CacheRequest {
            var headers: HTTPHeaders = ["Range": "bytes=0-1"]
            if let coding { headers.add(name: "Accept-Encoding", value: coding) }
            var request = CacheFixture.request(headers)
            request.asksForIdentity = true
            return request
        }
        let plan = try StoragePlan(
            CacheFixture.head(200, ["Vary": "Accept-Encoding, Range"]),
            to: request("gzip"),
            key: fixture.key(),
            token: fixture.cache.fetchToken(fixture.key()),
            fixture.configuration
        )
        try fixture.cache.store(plan, body: .init(string: "body"))
        for coding in ["br", "identity", nil] {
            let answer = fixture.cache.lookup(fixture.key(), request(coding), nowMilliseconds: 0)
            #expect(answer.word == "fresh")
        }
        #expect(fixture.word(["Accept-Encoding": "gzip"]) == "vary-miss")
    }

    @Test("the number of variants of a target is bounded, and other targets keep theirs")
    func bound() throws {
        try fixture.store([:], target: "/v1/audiences/other")
        for number in 0..<50 { try fixture.store(["Vary": "Accept"], asked: ["Accept": "\(number)"]) }
        #expect(fixture.cache.counters.entries == 4)
        #expect(fixture.word(["Accept": "49"]) == "fresh")
        #expect(fixture.word(target: "/v1/audiences/other") == "fresh")
    }

    @Test("the API key is the partition's business, and other credentials are not kept")
    func credentials() {
        let secret: HTTPHeaders = ["X-Dexatel-Key": "k", "Cookie": "c"]
        #expect(fixture.refusal(["Vary": "X-Dexatel-Key"], asked: secret) == nil)
        #expect(fixture.word(["X-Dexatel-Key": "another spelling of the same partition"]) == "fresh")
        #expect(fixture.refusal(["Vary": "Cookie"], asked: secret) == .vary)
        #expect(fixture.refusal(["Vary": "Authorization", "Cache-Control": "public, max-age=60"]) == nil)
        #expect(fixture.word(["Authorization": "x"]) == "vary-miss")
    }
}
