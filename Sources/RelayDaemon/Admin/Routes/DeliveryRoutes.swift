import AdminAPI
import Outbox
import Upstream

/// Pauses deliveries, has them go on, or has what waits go now.
struct DeliveryRoutes: Sendable {
    static func all(_ parts: AdminParts) -> [AdminRoute] {
        let (outbox, health) = (parts.outbox, parts.upstreamHealth)
        return [
            .change("deliveries/pause") { _ in
                try await outbox.pause()
                return try AdminReply(DeliveriesReply(paused: true))
            },
            .change("deliveries/resume") { _ in
                try await outbox.resume()
                return try AdminReply(DeliveriesReply(paused: false))
            },
            .change("deliveries/flush") { _ in
                try await outbox.flush()
                // The breaker asks anew at once, and opens again if the upstream is still away.
                if !health.snapshot().isBelievedHealthy { health.replaceUpstream() }
                return try AdminReply(DeliveriesReply(paused: outbox.isPaused))
            },
        ]
    }
}
