package import NIOHTTP1
package import ResponseCache
package import Upstream

/// What a reply of the upstream, or its absence, says of the API key that was shown, of what is stored, and of the upstream.
///
/// It is decided here alone, for fetches, pass-through and deliveries; the one that has asked carries it out.
package struct ReplyMeaning: Sendable, Equatable {
    /// On whose behalf the upstream was asked.
    package enum Asker: Sendable, Equatable {
        /// The cache, which means to store the reply; `isConditional` where it has sent a stored reply's validators.
        case fetch(isConditional: Bool)
        /// A client whose read goes past the cache.
        case forwardedRead(isHead: Bool)
        /// A client with any other request.
        case forwarded(HTTPMethod)
        /// The outbox; `isForeign` where the reply is not in the shape of the API's replies.
        case delivery(isForeign: Bool)
    }

    /// News of the API key.
    package enum OfKey: Sendable, Equatable {
        /// None.
        case nothing
        /// The upstream has taken it.
        case taken
        /// The upstream refuses it: nothing that it has obtained may be shown (P4).
        case refused(KeyRefusal)
        /// The upstream asks for a pause (RFC 6585 §4).
        case pause(milliseconds: Int64)
    }

    /// News of what is stored.
    package enum OfCache: Sendable, Equatable {
        /// None.
        case nothing
        /// What is stored is as it was (RFC 9111 §4.3.4).
        case confirms
        /// The upstream has failed: something stale may be served (RFC 5861 §4). `isUnserved` where it is as good as cut off.
        case fails(isUnserved: Bool)
        /// This is what the target has now: it is stored if it may be, and else puts in doubt what is.
        case replaces
        /// This is what the target has now, and is not going to be stored.
        case outdates
        /// This is the head of what the target has now (RFC 9111 §4.3.5).
        case describes
        /// These targets have changed (RFC 9111 §4.4).
        case changes([String])
    }

    /// What it says of the key.
    package let key: OfKey
    /// What it says of stored replies.
    package let cache: OfCache
    /// What it teaches the breaker (design §4).
    package let breaker: Signal

    /// The part of a request that the meaning of its reply depends on.
    package struct Question: Sendable {
        /// Who asks.
        package var asker: Asker
        /// The target in origin form.
        package var target: String
        /// Whether an API key was shown.
        package var hasKey: Bool
        /// Scheme and authority of the upstream in lower case.
        package var origin = ""
        /// The longest pause that a reply may ask for.
        package var maxPauseMilliseconds: Int64 = 0

        /// Describes a request.
        package init(_ asker: Asker, target: String, hasKey: Bool, origin: String = "", maxPauseMilliseconds: Int64 = 0)
        {
            self.asker = asker
            self.target = target
            self.hasKey = hasKey
            self.origin = origin
            self.maxPauseMilliseconds = maxPauseMilliseconds
        }
    }

    /// Reads the head of a final reply.
    ///
    /// - Parameter nowUnixSeconds: Dates in `Retry-After` count from it where the reply has no `Date`.
    package init(
        status: Int,
        headers: HTTPHeaders,
        to question: Question,
        nowUnixSeconds: @autoclosure () -> Int64
    ) {
        key = Self.ofKey(status, headers, question, nowUnixSeconds)
        cache = Self.ofCache(status, headers, question)
        breaker = .answered(status: status)
    }

    /// Reads a failure.
    ///
    /// - Parameter isOwnDoing: Whether the client has gone, or has not sent its body: the upstream is not to blame.
    package init(_ failure: UpstreamFailure, to asker: Asker, isOwnDoing: Bool = false) {
        key = .nothing
        if case .fetch = asker { cache = .fails(isUnserved: true) } else { cache = .nothing }
        breaker = isOwnDoing ? .abandoned : failure.signal
    }

    private static func ofKey(
        _ status: Int,
        _ headers: HTTPHeaders,
        _ question: Question,
        _ nowUnixSeconds: () -> Int64
    ) -> OfKey {
        guard question.hasKey else { return .nothing }
        // Only what is the upstream's own counts: a page of a proxy or firewall on the way must not vouch for a made-up key,
        // and says nothing of what a key may see. A refusal that does not say what it is counts, to be safe.
        let isJSON = headers.first(name: "Content-Type").map(WriteRequestFields.isJSON)
        switch (status, question.asker) {
        case (401, .delivery(let isForeign)): return isForeign ? .nothing : .refused(.everything)
        case (403, .delivery(let isForeign)): return isForeign ? .nothing : .refused(.target)
        // The outbox knows best what its own writes say.
        case (_, .delivery): return .nothing
        case (401, _): return isJSON ?? true ? .refused(.everything) : .nothing
        case (403, _): return isJSON ?? true ? .refused(.target) : .nothing
        // It says what the upstream can do, to everybody.
        case (200..<300, .forwarded(.OPTIONS)): return .nothing
        case (200..<300, _): return isJSON == true && question.target.hasPrefix("/v1/") ? .taken : .nothing
        // Other requests are not held back by a pause.
        case (429, .fetch), (429, .forwardedRead):
            guard let value = headers.first(name: "Retry-After"),
                let wait = RetryAfter.parse(
                    value,
                    replyDate: headers.first(name: "Date"),
                    nowUnixSeconds: nowUnixSeconds()
                )
            else { return .nothing }
            return .pause(milliseconds: min(wait.components.seconds * 1000, question.maxPauseMilliseconds))
        default: return .nothing
        }
    }

    private static func ofCache(_ status: Int, _ headers: HTTPHeaders, _ question: Question) -> OfCache {
        switch question.asker {
        case .fetch(isConditional: true) where status == 304: return .confirms
        case .fetch where MemoryCache.isFailure(status): return .fails(isUnserved: MemoryCache.isUnserved(status))
        case .fetch: return .replaces
        case .forwardedRead(let isHead): return isHead ? .describes : .outdates
        case .forwarded(let method):
            let changed = UnsafeReply.invalidatedTargets(
                method: method,
                target: question.target,
                status: status,
                headers: headers,
                origin: question.origin
            )
            return changed.isEmpty ? .nothing : .changes(changed)
        // The overlay hears of what was delivered from the outbox, together with its commit.
        case .delivery: return .nothing
        }
    }
}
