import AdminAPI
import Outbox

/// How the daemon does, and whether its outbox is whole.
enum StatusRoutes {
    static func all(_ parts: AdminParts) -> [AdminRoute] {
        let (health, outbox) = (parts.health, parts.outbox)
        return [
            .get("status") { _ in try AdminReply(await health.status()) },
            .query("outbox/check") { _ in try AdminReply(CheckReply(findings: try await outbox.check())) },
        ]
    }
}
