import Logging
import ProxyServer
import ServiceLifecycle

/// Serves until the daemon stops: then no new connections, and those that are open may end what they have begun.
struct ServerService: Service {
    let server: ProxyServer
    let admin: AdminServer
    let budget: ShutdownBudget
    let logger: Logger

    func run() async throws {
        let (server, admin) = (server, admin)
        await withTaskGroup(of: Void.self) { group in
            group.addTask {
                // It ends by cancellation.
                try? await admin.run()
            }
            try? await gracefulShutdown()
            await server.quiesce()
            let left = await server.closeConnections(deadline: budget.deadline)
            if left > 0 {
                logger.warning("connections were closed at shutdown.timeout", metadata: ["connections": "\(left)"])
            }
            group.cancelAll()
        }
    }
}
