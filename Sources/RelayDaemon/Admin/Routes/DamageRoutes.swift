import AdminAPI
import DexatelAPI
import Outbox

/// Lists damaged writes that were set aside, and discards them.
struct DamageRoutes: Sendable {
    /// Writes in one reply: each may have a body of a megabyte.
    private static let pageLimit = 16

    static func all(_ parts: AdminParts) -> [AdminRoute] {
        let outbox = parts.outbox
        return [
            .query("damaged/list") { request in
                let asked = try request.message(DamagedWritesRequest.self)
                let found = try await outbox.damagedWrites(after: asked.after ?? 0, limit: pageLimit)
                return try AdminReply(
                    DamagedWrites(
                        writes: found.map {
                            DamagedWrites.Item(
                                sequence: $0.sequence,
                                place: $0.place,
                                foundAt: RFC3339.text(millisecondsSinceEpoch: $0.foundAtMilliseconds),
                                reason: $0.reason,
                                content: $0.content
                            )
                        },
                        next: found.count == pageLimit ? found.last?.sequence : nil
                    )
                )
            },
            .change("damaged/discard") { request in
                let asked = try request.message(DiscardDamagedRequest.self)
                return try AdminReply(
                    DiscardDamagedReply(changed: try await outbox.discardDamaged(asked.sequences))
                )
            },
        ]
    }
}
