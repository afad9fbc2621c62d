import Logging
import Outbox
import ServiceLifecycle
import Upstream

/// Delivers until the daemon stops, then lets the attempts under way end and closes the outbox.
struct OutboxService: Service {
    let outbox: Outbox
    let client: UpstreamClient
    let budget: ShutdownBudget
    let logger: Logger

    func run() async throws {
        let (outbox, client, budget) = (outbox, client, budget)
        let cutOff = Task {
            try await gracefulShutdown()
            try await Task.sleep(until: budget.deadline)
            // The attempts that are still under way end with a failure, and are made again after the next start.
            await client.shutdown()
        }
        await withGracefulShutdownHandler {
            await outbox.run()
        } onGracefulShutdown: {
            outbox.stop()
        }
        cutOff.cancel()
        await outbox.close()
        await client.shutdown()
        let counts = outbox.committedCounts
        logger.notice("stopped", metadata: ["pending": "\(counts.pending)"])
    }
}
