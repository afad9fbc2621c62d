import ResponseCache
import ServiceLifecycle

/// Closes the cache's file in good order, so that the next start can trust what it holds.
struct DiskCacheService: Service {
    let disk: DiskCache?

    func run() async throws {
        try? await gracefulShutdown()
        await disk?.close()
    }
}
