import ProxyServer
import ResponseCache
import ServiceLifecycle

/// Closes the cache's file in good order, so that the next start can trust what it holds.
struct DiskCacheService: Service {
    let disk: DiskCache?
    let overlay: PendingOverlay

    func run() async throws {
        try? await gracefulShutdown()
        await disk?.close(keeping: overlay.record)
    }
}
