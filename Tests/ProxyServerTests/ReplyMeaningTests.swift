import NIOHTTP1
import ResponseCache
import Testing
import Upstream

@testable import ProxyServer

@Suite("What a reply means for key, cache and breaker")
struct ReplyMeaningTests {
    /// What the reply looks like.
    enum Shape: CaseIterable {
        /// JSON, as the API's own replies are.
        case own
        /// A page of something on the way.
        case page
        /// It does not say what it is.
        case untyped

        var headers: HTTPHeaders {
            switch self {
            case .own: ["Content-Type": "application/json; charset=utf-8", "Retry-After": "7"]
            case .page: ["Content-Type": "text/html", "Retry-After": "7"]
            case .untyped: ["Retry-After": "7"]
            }
        }
    }

    static let fetch = ReplyMeaning.Asker.fetch(isConditional: false)
    static let confirmation = ReplyMeaning.Asker.fetch(isConditional: true)
    static let get = ReplyMeaning.Asker.forwardedRead(isHead: false)
    static let head = ReplyMeaning.Asker.forwardedRead(isHead: true)
    static let post = ReplyMeaning.Asker.forwarded(.POST)
    static let options = ReplyMeaning.Asker.forwarded(.OPTIONS)
    static let delivery = ReplyMeaning.Asker.delivery(isForeign: false)
    static let foreign = ReplyMeaning.Asker.delivery(isForeign: true)
    static let askers = [fetch, confirmation, get, head, post, options, delivery, foreign]

    static let target = "/v1/audiences"

    private func meaning(
        _ status: Int,
        _ headers: HTTPHeaders,
        _ asker: ReplyMeaning.Asker,
        target: String = target,
        hasKey: Bool = true,
        maxPauseMilliseconds: Int64 = 60_000
    ) -> ReplyMeaning {
        ReplyMeaning(
            status: status,
            headers: headers,
            to: ReplyMeaning.Question(
                asker,
                target: target,
                hasKey: hasKey,
                origin: "https://api.example",
                maxPauseMilliseconds: maxPauseMilliseconds
            ),
            nowUnixSeconds: 0
        )
    }

    /// The statuses that mean the same to a key, with what they mean: in each shape, and to which askers.
    static let keyTable: [(statuses: [Int], Shape, [ReplyMeaning.Asker], ReplyMeaning.OfKey)] = [
        ([200, 201, 204, 299], .own, [fetch, confirmation, get, head, post], .taken),
        ([401], .own, [fetch, confirmation, get, head, post, options, delivery], .refused(.everything)),
        ([401], .untyped, [fetch, confirmation, get, head, post, options, delivery], .refused(.everything)),
        ([401], .page, [delivery], .refused(.everything)),
        ([403], .own, [fetch, confirmation, get, head, post, options, delivery], .refused(.target)),
        ([403], .untyped, [fetch, confirmation, get, head, post, options, delivery], .refused(.target)),
        ([403], .page, [delivery], .refused(.target)),
        ([429], .own, [fetch, confirmation, get, head], .pause(milliseconds: 7_000)),
        ([429], .page, [fetch, confirmation, get, head], .pause(milliseconds: 7_000)),
        ([429], .untyped, [fetch, confirmation, get, head], .pause(milliseconds: 7_000)),
    ]

    @Test("of the key: every status in every shape, to each that asks", arguments: Shape.allCases, askers)
    func ofKey(shape: Shape, asker: ReplyMeaning.Asker) {
        for status in 200..<600 {
            let row = Self.keyTable.first { $0.statuses.contains(status) && $0.1 == shape && $0.2.contains(asker) }
            let isSuccess = (200..<300).contains(status) && shape == .own
            let taking = [Self.fetch, Self.confirmation, Self.get, Self.head, Self.post]
            let expected = row?.3 ?? (isSuccess && taking.contains(asker) ? .taken : .nothing)
            #expect(meaning(status, shape.headers, asker).key == expected, "\(status)")
            #expect(meaning(status, shape.headers, asker, hasKey: false).key == .nothing, "\(status)")
        }
    }

    @Test("a success outside of the API vouches for no key")
    func elsewhere() {
        #expect(meaning(200, Shape.own.headers, Self.fetch, target: "/health").key == .nothing)
        #expect(meaning(401, Shape.own.headers, Self.fetch, target: "/health").key == .refused(.everything))
    }

    @Test("a pause needs a Retry-After, counts from the reply's own Date, and is bounded")
    func pause() {
        #expect(meaning(429, [:], Self.fetch).key == .nothing)
        #expect(meaning(429, ["Retry-After": "soon"], Self.fetch).key == .nothing)
        let date: HTTPHeaders = [
            "Date": "Thu, 01 Jan 2026 00:00:00 GMT", "Retry-After": "Thu, 01 Jan 2026 00:00:09 GMT",
        ]
        #expect(meaning(429, date, Self.fetch).key == .pause(milliseconds: 9_000))
        let long: HTTPHeaders = ["Retry-After": "86400"]
        #expect(meaning(429, long, Self.get, maxPauseMilliseconds: 5_000).key == .pause(milliseconds: 5_000))
    }

    @Test("of the cache: every status in every shape, to each that asks", arguments: Shape.allCases, askers)
    func ofCache(shape: Shape, asker: ReplyMeaning.Asker) {
        let unserved = [408, 425, 429, 502, 503, 504] + Array(520...530)
        for status in 200..<600 {
            let expected: ReplyMeaning.OfCache =
                switch asker {
                case Self.confirmation where status == 304: .confirms
                case Self.fetch, Self.confirmation:
                    status == 500 || unserved.contains(status)
                        ? .fails(isUnserved: status != 500) : .replaces
                case Self.get: .outdates
                case Self.head: .describes
                case Self.post: status < 400 ? .changes([Self.target]) : .nothing
                default: .nothing
                }
            #expect(meaning(status, shape.headers, asker).cache == expected, "\(status)")
        }
    }

    @Test("what Location and Content-Location name has changed as well, within the origin")
    func changes() {
        let headers: HTTPHeaders = ["Location": "/v1/a", "Content-Location": "https://other.example/v1/b"]
        #expect(meaning(201, headers, Self.post).cache == .changes([Self.target, "/v1/a"]))
    }

    @Test("of the upstream: a reply is a reply, whatever it says and whoever asks", arguments: askers)
    func ofUpstream(asker: ReplyMeaning.Asker) {
        for status in 200..<600 {
            #expect(meaning(status, [:], asker).breaker == .answered(status: status), "\(status)")
        }
    }

    @Test(
        "a failure teaches the breaker what it is, unless the client is to blame",
        arguments: askers
    )
    func failures(asker: ReplyMeaning.Asker) {
        let failure = UpstreamFailure.tooSlow
        let meaning = ReplyMeaning(failure, to: asker)
        let isFetch = asker == Self.fetch || asker == Self.confirmation
        #expect(meaning.key == .nothing)
        #expect(meaning.cache == (isFetch ? .fails(isUnserved: true) : .nothing))
        #expect(meaning.breaker == .timeout)
        #expect(ReplyMeaning(failure, to: asker, isOwnDoing: true).breaker == .abandoned)
    }
}
