import NIOCore
import NIOHTTP1
import ResponseCache
import Testing

/// A cache, an upstream that answers as told, and clients; time 0 is the first of January 2026.
struct CacheFixture {
    static let wallSeconds: Int64 = 1_767_225_600
    static let date = "Thu, 01 Jan 2026 00:00:00 GMT"
    static let target = "/v1/audiences/a/contacts/c"
    static let elsewhere = "/v1/senders"
    static let oneKey = CachePartition.key(high: 1, low: 2)

    var configuration = CacheConfiguration()
    let cache: MemoryCache
    var partition = oneKey
    var target = CacheFixture.target

    init(
        partition: CachePartition = oneKey,
        target: String = CacheFixture.target,
        shards: Int = 1,
        _ configure: (inout CacheConfiguration) -> Void = { _ in }
    ) {
        configure(&configuration)
        self.partition = partition
        self.target = target
        cache = MemoryCache(configuration, shards: shards)
    }

    func key(_ target: String? = nil, _ partition: CachePartition? = nil) -> CacheKey {
        CacheKey(partition: partition ?? self.partition, target: target ?? self.target)
    }

    static func request(_ headers: HTTPHeaders = [:], _ method: HTTPMethod = .GET) -> CacheRequest {
        CacheRequest(method: method, headers: headers)
    }

    static func head(_ status: Int = 200, _ headers: HTTPHeaders, at seconds: Int64 = 0, took: Int64 = 0) -> ReplyHead {
        ReplyHead(
            status: status,
            headers: headers,
            times: ExchangeTimes(
                requestMilliseconds: (seconds - took) * 1000,
                responseMilliseconds: seconds * 1000,
                responseUnixSeconds: wallSeconds + seconds
            )
        )
    }

    /// Stores a reply to GET; throws why it was not.
    @discardableResult
    func store(
        _ headers: HTTPHeaders,
        status: Int = 200,
        body: String = "body",
        asked request: HTTPHeaders = [:],
        method: HTTPMethod = .GET,
        target: String? = nil,
        partition: CachePartition? = nil,
        at seconds: Int64 = 0,
        token: FetchToken? = nil
    ) throws(StoreRefusal) -> StoredResponse {
        let key = key(target, partition)
        let plan = try StoragePlan(
            Self.head(status, headers, at: seconds),
            to: Self.request(request, method),
            key: key,
            token: token ?? cache.fetchToken(key),
            configuration
        )
        return try cache.store(plan, body: ByteBuffer(string: body))
    }

    /// Why a reply is not stored; nil if it is.
    func refusal(
        _ headers: HTTPHeaders,
        status: Int = 200,
        asked request: HTTPHeaders = [:],
        body: String = "body"
    ) -> StoreRefusal? {
        do {
            try store(headers, status: status, body: body, asked: request)
            return nil
        } catch {
            return error
        }
    }

    func answer(
        _ headers: HTTPHeaders = [:],
        method: HTTPMethod = .GET,
        target: String? = nil,
        partition: CachePartition? = nil,
        at seconds: Int64 = 0
    ) -> CacheAnswer {
        cache.lookup(key(target, partition), Self.request(headers, method), nowMilliseconds: seconds * 1000)
    }

    /// The answer in a word.
    func word(
        _ headers: HTTPHeaders = [:],
        target: String? = nil,
        partition: CachePartition? = nil,
        at seconds: Int64 = 0
    ) -> String {
        answer(headers, target: target, partition: partition, at: seconds).word
    }

    /// What stands in when the upstream cannot be reached, in a word.
    func wordDisconnected(_ headers: HTTPHeaders = [:], target: String? = nil, at seconds: Int64 = 0) -> String {
        wordOnError(headers, target: target, isDisconnected: true, at: seconds)
    }

    /// What stands in when the upstream answers with an error, in a word.
    func wordOnError(
        _ headers: HTTPHeaders = [:],
        target: String? = nil,
        isDisconnected: Bool = false,
        at seconds: Int64 = 0
    ) -> String {
        guard case .validate(let validation) = answer(headers, target: target, at: seconds) else {
            return "no validation"
        }
        let hit = cache.staleIfError(
            validation,
            key(target),
            Self.request(headers),
            isDisconnected: isDisconnected,
            nowMilliseconds: seconds * 1000
        )
        return hit == nil ? "504" : "stale"
    }
}

extension CacheAnswer {
    var word: String {
        switch self {
        case .fresh: "fresh"
        case .stale(_, let revalidate): revalidate == nil ? "stale" : "stale, revalidate"
        case .validate(let validation): "validate, \(validation.forward.rawValue)"
        case .miss(let miss): miss.forward.rawValue
        case .onlyIfCached504: "504"
        case .bypass: "bypass"
        }
    }

    var hit: CacheHit? {
        switch self {
        case .fresh(let hit), .stale(let hit, _): hit
        default: nil
        }
    }

    var validation: CacheValidation? {
        switch self {
        case .validate(let validation): validation
        case .stale(_, let validation): validation
        default: nil
        }
    }
}

extension WireImage {
    /// Everything as text.
    var text: String {
        String(buffer: bytes) + (body.map { String(buffer: $0) } ?? "")
    }

    var statusLine: Substring { text.prefix { $0 != "\r\n" } }

    /// What follows the head.
    var bodyText: String {
        text.range(of: "\r\n\r\n").map { String(text[$0.upperBound...]) } ?? ""
    }

    /// The values of the fields of that name, in order.
    func values(_ name: String) -> [String] {
        let head = text.range(of: "\r\n\r\n").map { text[..<$0.lowerBound] } ?? text[...]
        return head.split(separator: "\r\n").dropFirst().compactMap { line in
            guard let colon = line.firstIndex(of: ":"), line[..<colon].lowercased() == name.lowercased() else {
                return nil
            }
            return line[line.index(after: colon)...].trimmingPrefix(" ").description
        }
    }
}

extension String {
    fileprivate func range(of text: String) -> Range<String.Index>? { firstRange(of: text) }
}
