import NIOCore
import NIOHTTP1
import ResponseCache
import Testing

@Suite("Storing (RFC 9111 §3)")
struct StorabilityTests {
    private let own = CacheFixture()
    private let shared = CacheFixture(partition: .shared)
    private let elsewhere = CacheFixture(target: CacheFixture.elsewhere)

    @Test(
        "§5.2.2.5 no-store is obeyed in every form in which it can be recognised",
        arguments: [
            "no-store", "No-Store", "max-age=60, no-store", "no-store, public, max-age=60", "no-store=\"x\"",
            "max-age=60 no-store", "max-age=60; no-store", "private=\"x, no-store", "no-store;", "foo=\"bar\" no-store",
        ]
    )
    func noStore(value: String) {
        #expect(own.refusal(["Cache-Control": value]) == .noStore)
        #expect(own.refusal(HTTPHeaders([("Cache-Control", "max-age=60"), ("Cache-Control", value)])) == .noStore)
    }

    @Test("§5.2.2 a directive inside another's quoted argument is none")
    func quoted() {
        #expect(own.refusal(["Cache-Control": "max-age=60, ext=\"no-store\""]) == nil)
    }

    @Test("§5.2.1.5 a request's no-store keeps its reply out")
    func requestNoStore() {
        #expect(own.refusal(["Cache-Control": "max-age=60"], asked: ["Cache-Control": "no-store"]) == .requestNoStore)
    }

    @Test(
        "§5.2.2.7 private keeps a reply out of the shared cache and not out of a key's own",
        arguments: ["private", "private=\"x-user\"", "private, public, max-age=60", "public private max-age=60"]
    )
    func privateReply(value: String) {
        #expect(shared.refusal(["Cache-Control": value]) == .isPrivate)
        #expect(own.refusal(["Cache-Control": value, "ETag": "\"1\""]) == nil)
    }

    @Test("§3.5 a reply to a request with Authorization is stored only if it says that it may be shared")
    func authorization() {
        let asked: HTTPHeaders = ["Authorization": "Bearer secret"]
        for (value, isStored) in [
            ("max-age=60", false), ("max-age=60, public", true), ("max-age=60, must-revalidate", true),
            ("s-maxage=60", true), ("private, max-age=60, must-revalidate", false),
        ] {
            let expected: StoreRefusal? = isStored ? nil : .authorization
            let refusal = shared.refusal(["Cache-Control": value], asked: asked)
            #expect((refusal == nil) == isStored, "\(value)")
            // Several users may come with one API key, so a key's own cache is shared in this sense.
            if value != "s-maxage=60" {
                #expect(own.refusal(["Cache-Control": value], asked: asked) == expected, "\(value)")
            }
        }
        #expect(own.refusal(["Cache-Control": "s-maxage=60"], asked: asked) == .authorization)
    }

    @Test("§5.2.2.4 no-cache, with field names too, is stored only with a validator, and used only once confirmed")
    func noCache() {
        for value in ["no-cache", "no-cache=\"X-Field\"", "no-cache, max-age=60", "max-age=60 no-cache", "NO-CACHE"] {
            #expect(own.refusal(["Cache-Control": value]) == .noFreshness, "\(value)")
            #expect(own.refusal(["Cache-Control": value, "ETag": "\"1\""]) == nil, "\(value)")
            #expect(own.word() == "validate, stale", "\(value)")
            #expect(own.wordOnError() == "504", "\(value)")
        }
    }

    @Test(
        "§5.2.3 directives that are not known change nothing",
        arguments: ["community=\"x\"", "immutable", "no-transform"]
    )
    func unknown(directive: String) {
        #expect(own.refusal(["Cache-Control": "\(directive), max-age=60"]) == nil)
        #expect(own.word(at: 59) == "fresh")
        #expect(own.refusal(["Cache-Control": "max-age=60, \(directive), no-store"]) == .noStore)
    }

    @Test("§3 only GET's replies are stored", arguments: [HTTPMethod.HEAD, .POST, .PUT, .OPTIONS])
    func methods(method: HTTPMethod) {
        #expect(throws: StoreRefusal.method) { try own.store(["Cache-Control": "max-age=60"], method: method) }
    }

    @Test(
        "§3 these statuses need no explicit freshness where defaults hold",
        arguments: [200, 203, 204, 300, 301, 308, 404, 405, 410, 414, 501]
    )
    func heuristic(status: Int) {
        let body = status == 204 ? "" : "body"
        #expect(own.refusal([:], status: status, body: body) == nil)
        #expect(elsewhere.refusal([:], status: status, body: body) == .noFreshness)
    }

    @Test(
        "§3 other statuses need explicit freshness or public",
        arguments: [201, 202, 302, 303, 307, 400, 409, 418, 451, 599]
    )
    func explicitOnly(status: Int) {
        #expect(own.refusal([:], status: status) == .noFreshness)
        #expect(own.refusal(["Cache-Control": "public"], status: status) == nil)
        #expect(elsewhere.refusal(["Cache-Control": "max-age=60"], status: status) == nil)
    }

    @Test(
        "§3.3, §3 parts, confirmations, refusals of the key and \"not now\" are never stored",
        arguments: [100, 103, 206, 304, 401, 403, 407, 408, 425, 429]
    )
    func never(status: Int) {
        #expect(own.refusal(["Cache-Control": "public, max-age=60"], status: status) == .status)
    }

    @Test("§3 a failure of the upstream is stored for the lifetime that it states, and never served stale")
    func failures() {
        for status in [500, 502, 503, 504] {
            for fixture in [own, elsewhere] {
                #expect(fixture.refusal(["ETag": "\"1\""], status: status) == .status)
                #expect(fixture.refusal(["Cache-Control": "public"], status: status) == .status)
                #expect(fixture.refusal(["Cache-Control": "max-age=0", "ETag": "\"1\""], status: status) == .status)
                #expect(
                    fixture.refusal(["Cache-Control": "max-age=9, no-cache", "ETag": "\"1\""], status: status) != nil
                )
                let says = "max-age=60, stale-if-error=600, stale-while-revalidate=0"
                #expect(fixture.refusal(["Cache-Control": says], status: status) == nil)
                #expect(fixture.word(at: 59) == "fresh")
                #expect(fixture.word(at: 60) == "validate, stale")
                #expect(fixture.wordOnError(at: 60) == "504")
                #expect(fixture.wordDisconnected(at: 60) == "504")
                // A reply without an error takes its place.
                #expect(fixture.refusal(["Cache-Control": "max-age=60"]) == nil)
                fixture.cache.purge(path: "/")
            }
        }
    }

    @Test("RFC 5861 §4 an error never takes the place of a reply that may be served while the upstream fails")
    func errorsGiveWay() throws {
        for status in [500, 501, 503, 599] {
            let fixture = CacheFixture()
            try fixture.store(["ETag": "\"1\""], body: "good")
            fixture.cache.invalidate(target: fixture.target)
            #expect(fixture.refusal(["Cache-Control": "max-age=60"], status: status) == .goodStored)
            #expect(fixture.wordOnError(at: 100) == "stale")
            #expect(fixture.answer(at: 100).validation?.response.body == ByteBuffer(string: "good"))
        }
    }

    @Test("§3 what a request without a key brought with its credentials is stored only by what it says itself")
    func credentials() {
        let sharedBelow = CacheFixture(partition: .shared)
        for asked: HTTPHeaders in [["Cookie": "session=1"], ["Authorization": "Bearer 1"]] {
            for status in [200, 404] {
                for says in [nil, "must-revalidate", "stale-while-revalidate=60"] as [String?] {
                    let headers = HTTPHeaders([("ETag", "\"1\"")] + (says.map { [("Cache-Control", $0)] } ?? []))
                    #expect(sharedBelow.refusal(headers, status: status, asked: asked) != nil)
                }
            }
            #expect(sharedBelow.refusal(["Cache-Control": "public", "ETag": "\"1\""], asked: asked) == nil)
            #expect(sharedBelow.word(at: 0) == "validate, stale")
            #expect(sharedBelow.wordDisconnected(at: 1) == "504")
            #expect(sharedBelow.refusal(["Cache-Control": "public, max-age=60"], asked: asked) == nil)
            #expect(sharedBelow.word(at: 59) == "fresh")
            #expect(sharedBelow.wordDisconnected(at: 60) == "504")
            sharedBelow.cache.purge(path: "/")
            // What the upstream does not see says nothing.
            var stripped = asked
            stripped.add(name: "Connection", value: "Cookie, Authorization")
            #expect(sharedBelow.refusal(["ETag": "\"1\""], asked: stripped) == nil)
            sharedBelow.cache.purge(path: "/")
        }
        #expect(sharedBelow.refusal(["Cache-Control": "max-age=60"], asked: ["Cookie": "a"]) == nil)
        // With a key, it is the key's own cache.
        #expect(own.refusal([:], asked: ["Cookie": "a"]) == nil)
    }

    @Test("§3.5 an error that was asked for with credentials is not kept for others, unless it says so")
    func personalErrors() {
        for fixture in [own, shared] {
            for asked: HTTPHeaders in [["Cookie": "session=1"], ["Authorization": "Bearer 1"]] {
                for status in [400, 404, 410, 500, 503] {
                    #expect(
                        fixture.refusal(["Cache-Control": "max-age=60"], status: status, asked: asked) == .authorization
                    )
                    #expect(
                        fixture.refusal(["Cache-Control": "max-age=60, public"], status: status, asked: asked) == nil
                    )
                    fixture.cache.purge(path: "/")
                }
            }
        }
    }

    @Test("§4.3.4 a confirmation for one client's credentials leaves what is stored for others as it is")
    func personalConfirmation() throws {
        for asked: HTTPHeaders in [["Cookie": "a"], ["Authorization": "b"]] {
            let fixture = CacheFixture(partition: .shared)
            try fixture.store(["ETag": "\"1\""], body: "good")
            let validation = try #require(fixture.answer(asked, at: 100).validation)
            let fresh = try #require(
                fixture.cache.freshen(
                    validation,
                    by: CacheFixture.head(304, ["ETag": "\"1\""], at: 100),
                    to: CacheFixture.request(asked),
                    key: fixture.key()
                )
            )
            #expect(fresh.isForOneClient && fresh.response.body == ByteBuffer(string: "good"))
            #expect(fixture.word(at: 101) == "validate, stale")
            #expect(fixture.wordOnError(at: 101) == "stale")
        }
    }

    @Test("§5.2.2.3 must-understand takes no-store's place for statuses that are understood, and refuses all others")
    func mustUnderstand() {
        #expect(own.refusal(["Cache-Control": "must-understand, no-store, max-age=60"]) == nil)
        #expect(own.refusal(["Cache-Control": "must-understand, no-store, max-age=60"], status: 307) == nil)
        #expect(own.refusal(["Cache-Control": "must-understand, max-age=60"], status: 299) == .status)
        #expect(own.refusal(["Cache-Control": "no-store, max-age=60, must-understand"], status: 599) == .status)
    }

    @Test("§3 where only explicit freshness counts, a reply is still kept for its validator")
    func validatorAlone() {
        #expect(elsewhere.refusal([:]) == .noFreshness)
        #expect(elsewhere.refusal(["ETag": "\"1\""]) == nil)
        #expect(elsewhere.refusal(["Last-Modified": CacheFixture.date]) == nil)
        #expect(elsewhere.word() == "validate, stale")
        #expect(elsewhere.refusal(["Cache-Control": "no-cache, max-age=60"]) == .noFreshness)
    }

    @Test("§7.3 a cookie is never given to a second client")
    func setCookie() throws {
        let headers: HTTPHeaders = ["Cache-Control": "max-age=60, public", "Set-Cookie": "session=secret"]
        #expect(shared.refusal(headers) == .setCookie)
        #expect(own.refusal(headers) == nil)
        let image = try #require(own.answer().hit).wireImage(nowMilliseconds: 0)
        #expect(!image.text.contains("secret"))
    }

    @Test("§3 a body over reads.max_object is not stored, whether its length was announced or not")
    func tooLarge() {
        let small = CacheFixture { $0.maxObjectBytes = 10 }
        #expect(small.refusal(["Cache-Control": "max-age=60"], body: "0123456789") == nil)
        #expect(small.refusal(["Cache-Control": "max-age=60"], body: "0123456789a") == .tooLarge)
        #expect(small.refusal(["Cache-Control": "max-age=60", "Content-Length": "11"]) == .tooLarge)
        #expect(small.refusal(["Cache-Control": "max-age=60", "Content-Length": "99999999999999999999"]) == .tooLarge)
    }

    @Test("§3.3 a body that is not as long as was announced is not stored")
    func incomplete() {
        #expect(own.refusal(["Content-Length": "5"], body: "four") == .incomplete)
        #expect(own.refusal(["Content-Length": "4, 5"], body: "four") == .malformed)
        #expect(own.refusal(["Content-Length": "4x"], body: "four") == .malformed)
        #expect(own.refusal(["Content-Length": "4, 4"], body: "four") == nil)
        #expect(own.refusal([:], status: 204, body: "four") == .incomplete)
    }

    @Test("§3.1 fields between neighbours are not stored, nor those that Connection names")
    func hopByHop() throws {
        try own.store([
            "Connection": "close, X-Hop", "X-Hop": "1", "Keep-Alive": "5", "Transfer-Encoding": "chunked",
            "Upgrade": "h2c", "Trailer": "X-T", "TE": "trailers", "Proxy-Authenticate": "Basic",
            "Proxy-Connection": "close", "X-End": "kept",
        ])
        let image = try #require(own.answer().hit).wireImage(nowMilliseconds: 0)
        for name in [
            "Connection", "X-Hop", "Keep-Alive", "Transfer-Encoding", "Upgrade", "Trailer", "TE", "Proxy-Authenticate",
            "Proxy-Connection",
        ] {
            #expect(image.values(name).isEmpty, "\(name)")
        }
        #expect(image.values("X-End") == ["kept"])
        #expect(image.values("Content-Length") == ["4"])
    }

    @Test("a head that would break the framing of an answer is not stored")
    func splitting() {
        #expect(own.refusal(["X-Evil": "1\r\nX-Other: 2"]) == .malformed)
        #expect(own.refusal(["X Evil": "1"]) == .malformed)
        #expect(throws: StoreRefusal.malformed) { try own.store([:], target: "/v1/audiences/\u{212A}") }
    }

    @Test("§5.4 Pragma: no-cache in a reply counts where there is no Cache-Control")
    func pragma() {
        #expect(own.refusal(["Pragma": "no-cache"]) == .noFreshness)
        #expect(own.refusal(["Pragma": "no-cache", "Cache-Control": "max-age=5"]) == nil)
        #expect(own.word() == "fresh")
    }
}
