import DexatelAPI
import NIOCore
import NIOHTTP1
import ResponseCache
import Upstream

/// What became of a fetch, for those that take its reply as a whole.
enum FlightOutcome: Sendable {
    /// A reply that may be given to each of them.
    case reply(FetchedReply)
    /// There was none.
    case failed(UpstreamFailure)
    /// There was one that is not for sharing: every follower has to ask for its own.
    case notShared
}

extension FlightOutcome {
    /// The outcome for the client whose request has brought it about.
    func with(cookiesOf headers: HTTPHeaders) -> FlightOutcome {
        guard case .reply(var reply) = self else { return self }
        reply.cookies = headers.filter { $0.name.isASCII("set-cookie") || $0.name.isASCII("set-cookie2") }
        return .reply(reply)
    }
}

/// A reply as it was fetched.
struct FetchedReply: Sendable {
    var response: StoredResponse
    /// What the upstream said: 304 where it confirmed what was stored.
    var upstreamStatus: Int
    var isStored = false
    /// Why it was not stored.
    var detail: String?
    /// The lines of the upstream's `Age`: the reply was not made just now.
    var age: [String] = []
    /// `Set-Cookie`, for the client alone whose request has fetched it (RFC 9111 §7.3).
    var cookies: [(name: String, value: String)] = []
    /// How the upstream has failed, if it has: a stale reply may be served in its place (RFC 5861 §4).
    var failure: Failure?

    /// The same without all that may speak of the client that has asked.
    func bare(_ reply: ReplyHead) -> FetchedReply {
        var bare = self
        var headers = HTTPHeaders()
        if let wait = reply.headers.first(name: "Retry-After") { headers.add(name: "Retry-After", value: wait) }
        let head = ReplyHead(status: reply.status, headers: headers, times: reply.times)
        bare.response = .unstored(head, body: ByteBuffer())
        return bare
    }

    /// A failure of the upstream's.
    struct Failure: Sendable {
        /// Whether it says that the request was not served at all, as if the upstream could not be reached.
        var isUnserved: Bool
    }
}

/// The head of a reply whose body is arriving, for those that take it as it comes.
struct FlightHead: Sendable {
    let reply: ReplyHead
    /// Whose request it answers, and under which terms it is stored; nil where it is for the leader alone.
    let plan: StoragePlan?
    /// Why it is not stored.
    var detail: String?

    /// Whether it is known how long the body is going to be.
    var hasKnownLength: Bool { ForwardedReply.length(reply.status, reply.headers, .GET) != .unknown }

    /// Whether it may be the reply to a follower's request (RFC 9111 §4.1).
    func suits(_ request: CacheRequest) -> Bool { plan?.suits(request) ?? false }
}

/// What a flight tells its readers.
enum FlightNews: Sendable {
    /// An interim reply, for the leader.
    case interim(InterimAnswer)
    /// The head is there, and the body can be read as it comes.
    case head(FlightHead)
    /// More of the body has come, or its end.
    case more
    /// The reply is too long to be waited for as a whole: the leader has to take it as it comes.
    case tooLong(FlightHead)
    /// All is over, for those that take the reply as a whole.
    case over(FlightOutcome)
}
