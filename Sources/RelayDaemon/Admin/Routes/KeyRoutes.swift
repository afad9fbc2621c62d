import AdminAPI
import DexatelAPI
import NIOHTTP1
import Outbox

/// The API keys that the queue refers to.
enum KeyRoutes {
    static func all(_ parts: AdminParts) -> [AdminRoute] {
        [
            .get("keys") { _ in
                let keys = try await parts.outbox.keySummaries()
                return try AdminReply(KeyList(keys.map(KeyList.Item.init)))
            },
            .change("keys/*/replace") { try await replace(parts, $0) },
        ]
    }

    private static func replace(_ parts: AdminParts, _ request: AdminRequest) async throws -> AdminReply {
        let asked = try request.message(KeyReplacementRequest.self)
        guard APIKeySyntax.admits(asked.key.utf8) else {
            let text = "a key is 1 to \(APIKeySyntax.maxBytes) visible ASCII characters, without spaces"
            throw AdminProblem(.badRequest, "bad_key", text)
        }
        let contact = try asked.contact.map { try ContactReference($0) }
        let replacement = KeyReplacement(
            outbox: parts.outbox,
            client: parts.client,
            upstreamHealth: parts.upstreamHealth
        )
        return try AdminReply(
            try await replacement.replace(String(request.segments[1]), by: Secret(asked.key), contact)
        )
    }
}
