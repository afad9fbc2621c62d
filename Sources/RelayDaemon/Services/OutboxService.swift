import Logging
import Outbox
import ServiceLifecycle
import Upstream

/// Delivers until the daemon stops, then lets the attempts under way end and closes the outbox.
struct OutboxService: Service {
    let outbox: Outbox
    let client: UpstreamClient
    let shutdownTimeout: Duration
    let logger: Logger

    func run() async throws {
        let outbox = outbox
        await withGracefulShutdownHandler {
            await outbox.run()
        } onGracefulShutdown: {
            outbox.stop()
        }
        await outbox.close()
        await client.shutdown()
        let counts = outbox.committedCounts
        logger.notice("stopped", metadata: ["pending": "\(counts.pending)"])
    }
}
