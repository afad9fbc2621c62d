import AdminAPI
import NIOHTTP1
import ResponseCache

/// What the cache holds, and dropping it.
enum CacheRoutes {
    static func all(_ parts: AdminParts) -> [AdminRoute] {
        let (health, cache, disk) = (parts.health, parts.cache, parts.disk)
        return [
            .get("cache") { _ in try AdminReply(health.cacheStatus()) },
            .change("cache/purge") { request in
                let asked = try request.message(CachePurgeRequest.self)
                let target = asked.path ?? "/"
                guard target.hasPrefix("/") else {
                    throw AdminProblem(.badRequest, "bad_path", "a path begins with a slash, such as /v1/audiences")
                }
                let path = String(target.prefix { $0 != "?" && $0 != "#" })
                let replies = cache.purge(path: path)
                // What is purged is out of reach at once; this waits until it is also gone.
                let isGone = await disk?.flush() ?? true
                return try AdminReply(CachePurgeReply(path: path, memoryReplies: replies, goneFromDisk: isGone))
            },
        ]
    }
}
