import AdminAPI
import NIOHTTP1
import Outbox
import ProxyServer

/// Writes that go to another outbox, or come from one.
struct TransferRoutes: Sendable {
    /// Writes that one part of an export is looked for in.
    private static let maxPageWrites = 200
    /// Bytes of bodies after which a part of an export ends.
    private static let maxPageBytes = 8 << 20

    let outbox: Outbox
    let rules: @Sendable () -> WriteRules

    static func all(_ parts: AdminParts) -> [AdminRoute] {
        let routes = TransferRoutes(outbox: parts.outbox, rules: parts.writeRules)
        return [
            .query("writes/export") { try await routes.export($0) },
            .change("writes/import") { try await routes.importWrites($0) },
        ]
    }

    private func export(_ request: AdminRequest) async throws -> AdminReply {
        let asked = try request.message(WritePageRequest.self)
        let page = try await outbox.export(
            try WriteSelection(asked.selector),
            after: asked.after ?? 0,
            limit: min(asked.limit ?? Self.maxPageWrites, Self.maxPageWrites)
        )
        var part = ExportPage(writes: [], next: page.next)
        var bytes = 0
        for write in page.writes {
            bytes += write.body.count
            if bytes > Self.maxPageBytes, let last = part.writes.last.flatMap({ WriteID($0.id) }) {
                part.next = last.sequence
                break
            }
            part.writes.append(ExportedWriteLine(write))
        }
        return try AdminReply(part)
    }

    private func importWrites(_ request: AdminRequest) async throws -> AdminReply {
        let asked = try request.message(ImportRequest.self)
        guard asked.writes.count <= ImportRequest.maxWrites else {
            let text = "one request takes \(ImportRequest.maxWrites) writes at most; send them in parts"
            throw AdminProblem(.payloadTooLarge, "too_many_writes", text)
        }
        try check(asked.writes)
        do {
            let ids = try await outbox.importWrites(asked.writes.map(ExportedWrite.init))
            return try AdminReply(ImportReply(ids: ids.map(\.description)))
        } catch let fault as ImportFault {
            throw Self.problem(fault)
        }
    }

    /// Takes nothing that the server would refuse as a request.
    private func check(_ writes: [ExportedWriteLine]) throws {
        let rules = rules()
        for write in writes {
            do throws(WriteFault) {
                try rules.check(
                    method: write.method,
                    target: write.target,
                    headers: write.headers,
                    body: write.body
                )
            } catch {
                let text =
                    "\(write.id) is not a write that a request could make: \(error.message); none of these was taken"
                throw AdminProblem(.badRequest, error.slug, text)
            }
        }
    }

    private static func problem(_ fault: ImportFault) -> AdminProblem {
        switch fault {
        case .unreadable:
            AdminProblem(
                .badRequest,
                "unreadable",
                "not all of these are writes of a version that this release reads; none of them was taken"
            )
        case .targetElsewhere(let id):
            AdminProblem(
                .badRequest,
                "target_elsewhere",
                "the target of \(id) is not that of its contact; none of these was taken"
            )
        case .keySealed:
            AdminProblem(
                .conflict,
                "key_sealed",
                "an API key is missing or sealed under another master key than this relay's; none of these was taken. "
                    + "Give this relay the master key of the one that exported them"
            )
        case .keyMalformed(let id):
            AdminProblem(
                .badRequest,
                "bad_key",
                "the API key of \(id) is not visible ASCII without spaces; none of these was taken"
            )
        case .unavailable(let reason):
            AdminProblem(
                .serviceUnavailable,
                "unavailable",
                "the outbox takes no more just now (\(Self.text(reason))); none of these was taken"
            )
        case .storage(let error):
            AdminProblem(.serviceUnavailable, "outbox_unavailable", "the outbox cannot be written: \(error)")
        }
    }

    private static func text(_ reason: OutboxUnavailability) -> String {
        switch reason {
        case .queueFull: "writes.max_pending or writes.max_pending_bytes is reached"
        case .deadLimit: "the key has writes.max_dead dead writes"
        case .unverifiedKeyLimit: "writes.max_pending_unverified is reached: the key has never succeeded upstream here"
        case .keyLimit: "writes.max_unverified_keys is reached: the key has never succeeded upstream here"
        case .diskLow: "less than writes.min_free_disk is free"
        case .storageFailed: "the database cannot be written"
        case .stopping: "the daemon is stopping"
        }
    }
}
