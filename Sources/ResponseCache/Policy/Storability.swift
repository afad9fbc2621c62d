import NIOHTTP1

/// Whether a reply may be stored, and as what (RFC 9111 §3).
enum Storability {
    /// The reply's terms of storage.
    struct Terms {
        var freshness: Freshness
        var vary: VaryKey?
        /// Whether the reply states its lifetime itself.
        var isExplicit = false
    }

    /// Judges a reply by its head and its request.
    static func judge(
        _ reply: ReplyHead,
        to request: CacheRequest,
        key: CacheKey,
        _ configuration: CacheConfiguration
    ) throws(StoreRefusal) -> Terms {
        guard request.isGet else { throw .method }
        let directives = ResponseDirectives(reply.headers, targetedFields: configuration.targetedFields)
        guard !StatusRules.isNeverStored(reply.status) else { throw .status }
        guard !request.directives.noStore else { throw .requestNoStore }
        if directives.mustUnderstand {
            // The directive takes the place of the no-store beside it, which is for caches that do not know it.
            guard StatusRules.isUnderstood(reply.status) else { throw .status }
        } else if directives.noStore {
            throw .noStore
        }
        let isShared = key.partition == .shared
        try checkSharing(reply, directives, request, isShared: isShared)
        let vary = try VaryKey.of(reply.headers, request: request)
        let subject = Freshness.Subject(
            status: reply.status,
            headers: reply.headers,
            directives: directives,
            target: key.target,
            isShared: isShared,
            carriesCredentials: request.carriesCredentials,
            times: reply.times
        )
        let (freshness, source) = Freshness.of(subject, configuration)
        if isShared, subject.carriesCredentials, source != .explicit, !directives.isPublic { throw .credentials }
        if StatusRules.isFailure(reply.status) {
            guard source == .explicit, freshness.lifetimeSeconds > 0, !freshness.mustAlwaysValidate else {
                throw .status
            }
        }
        let mayBeStored =
            source == .explicit || StatusRules.isHeuristicallyCacheable(reply.status) || directives.isPublic
            || directives.isPrivate && !isShared
        guard mayBeStored, isOfUse(freshness, reply.headers) else { throw .noFreshness }
        return Terms(freshness: freshness, vary: vary, isExplicit: source == .explicit)
    }

    private static func checkSharing(
        _ reply: ReplyHead,
        _ directives: ResponseDirectives,
        _ request: CacheRequest,
        isShared: Bool
    ) throws(StoreRefusal) {
        if isShared, directives.isPrivate { throw .isPrivate }
        // Several users' tokens may come with one API key, so §3.5 holds in a key's own cache as well. What is wrong for one
        // user is nothing that another is to see: errors are kept to those terms where a cookie tells users apart, too.
        if request.carriesAuthorization || reply.status >= 400 && request.carriesCredentials {
            let allows =
                directives.isPublic || directives.mustRevalidate || isShared && directives.sharedMaxAgeSeconds != nil
            guard allows, !directives.isPrivate else { throw .authorization }
        }
        if isShared, reply.headers.contains(name: "Set-Cookie") || reply.headers.contains(name: "Set-Cookie2") {
            throw .setCookie
        }
    }

    /// Whether there can be a second use: fresh, stale by permission, or after a validation.
    private static func isOfUse(_ freshness: Freshness, _ headers: HTTPHeaders) -> Bool {
        if headers.contains(name: "ETag") || headers.contains(name: "Last-Modified") { return true }
        if freshness.mustAlwaysValidate { return false }
        if freshness.lifetimeSeconds > 0 { return true }
        return !freshness.forbidsStale
            && (freshness.staleWhileRevalidateSeconds > 0 || freshness.staleIfErrorSeconds > 0)
    }
}
