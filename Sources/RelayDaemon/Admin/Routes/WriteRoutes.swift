import AdminAPI
import NIOHTTP1
import Outbox

/// Looks at writes, and changes them.
struct WriteRoutes: Sendable {
    /// How long one request goes on through pages and transactions before it says where to go on.
    private static let sliceDuration = Duration.seconds(1)

    let outbox: Outbox

    static func all(_ parts: AdminParts) -> [AdminRoute] {
        let routes = WriteRoutes(outbox: parts.outbox)
        return [
            .query("writes/list") { try await routes.list($0) },
            .query("writes/count") { try await routes.count($0) },
            .get("writes/*") { try await routes.show($0) },
        ]
            + WriteCommand.allCases.map { command in
                .change("writes/\(command.rawValue)") { try await routes.change(command, $0) }
            }
    }

    private func list(_ request: AdminRequest) async throws -> AdminReply {
        let asked = try request.message(WritePageRequest.self)
        let page = try await outbox.list(
            try WriteSelection(asked.selector),
            after: asked.after ?? 0,
            limit: asked.limit ?? Outbox.maxPageWrites
        )
        let now = RelayClock.wallMilliseconds()
        return try AdminReply(
            AdminAPI.WritePage(writes: page.writes.map { WriteSummary($0, now: now) }, next: page.next)
        )
    }

    private func count(_ request: AdminRequest) async throws -> AdminReply {
        let asked = try request.message(WritePageRequest.self)
        let selection = try WriteSelection(asked.selector)
        var part = WriteCountPart(count: 0, next: asked.after ?? 0)
        let deadline = ContinuousClock.now + Self.sliceDuration
        while let after = part.next, after == asked.after ?? 0 || ContinuousClock.now < deadline {
            let page = try await outbox.list(selection, after: after, limit: Outbox.maxPageWrites)
            part.count += page.writes.count
            part.next = page.next
        }
        return try AdminReply(part)
    }

    private func show(_ request: AdminRequest) async throws -> AdminReply {
        guard let id = request.segments.last.flatMap({ WriteID($0) }), let details = try await outbox.show(id) else {
            throw AdminProblem(.notFound, "not_found", "no write has this id, or its receipt is gone")
        }
        return try AdminReply(WriteDetail(details, now: RelayClock.wallMilliseconds()))
    }

    private func change(_ command: WriteCommand, _ request: AdminRequest) async throws -> AdminReply {
        let asked = try request.message(WriteChangeRequest.self)
        let selection = try WriteSelection(asked.selector)
        let change: WriteChange =
            switch command {
            case .retry: .retry(isForced: asked.force)
            case .release: .release(isForced: asked.force)
            case .discard: .discard
            }
        var result = OperationResult()
        var next: Int64? = asked.after ?? 0
        let deadline = ContinuousClock.now + Self.sliceDuration
        while let after = next, after == asked.after ?? 0 || ContinuousClock.now < deadline {
            let part = try await outbox.change(selection, change, after: after)
            result.add(part.result)
            next = part.next
        }
        return try AdminReply(WriteChangeReply(result, next: next))
    }
}
