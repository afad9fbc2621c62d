import AdminAPI
import Logging
import NIOHTTP1
import Outbox

/// One call of the admin API.
struct AdminRoute: Sendable {
    let method: HTTPMethod
    /// The path's segments; `*` stands for anything.
    let path: [String]
    /// Whether it changes something: then it is logged.
    var isChange = false
    let run: @Sendable (AdminRequest) async throws -> AdminReply

    static func get(_ path: String, _ run: @escaping @Sendable (AdminRequest) async throws -> AdminReply) -> Self {
        AdminRoute(method: .GET, path: path.split(separator: "/").map(String.init), run: run)
    }

    /// Something that is asked for with a body, and changes nothing.
    static func query(_ path: String, _ run: @escaping @Sendable (AdminRequest) async throws -> AdminReply) -> Self {
        AdminRoute(method: .POST, path: path.split(separator: "/").map(String.init), run: run)
    }

    static func change(_ path: String, _ run: @escaping @Sendable (AdminRequest) async throws -> AdminReply) -> Self {
        AdminRoute(method: .POST, path: path.split(separator: "/").map(String.init), isChange: true, run: run)
    }

    func matches(_ segments: [Substring]) -> Bool {
        path.count == segments.count && zip(path, segments).allSatisfy { $0 == "*" ? !$1.isEmpty : $0 == $1 }
    }
}

/// Finds who answers a request of the admin API, and says what is wrong in one form.
struct AdminRouter: Sendable {
    let routes: [AdminRoute]
    let logger: Logger

    init(_ parts: AdminParts) {
        logger = parts.logger
        routes = [
            StatusRoutes.all(parts), WriteRoutes.all(parts), TransferRoutes.all(parts), ContactRoutes.all(parts),
            DeliveryRoutes.all(parts), KeyRoutes.all(parts), CacheRoutes.all(parts),
            DamageRoutes.all(parts),
        ].flatMap { $0 }
    }

    func reply(to request: AdminRequest) async -> AdminReply {
        let matching = routes.filter { $0.matches(request.segments) }
        // What is named in full comes before what stands for anything.
        let exact = matching.filter { !$0.path.contains("*") }
        let found = exact.isEmpty ? matching : exact
        guard !found.isEmpty else {
            return AdminReply(AdminProblem(.notFound, "not_found", "there is nothing at this path"))
        }
        // HEAD is GET without the body.
        let method = request.method == .HEAD ? .GET : request.method
        guard let route = found.first(where: { $0.method == method }) else {
            let allowed = found.map(\.method.rawValue).joined(separator: ", ")
            let problem = AdminProblem(.methodNotAllowed, "method_not_allowed", "this path takes \(allowed)")
            return AdminReply(problem, headers: [("Allow", allowed)])
        }
        do {
            let reply = try await route.run(request)
            if route.isChange { note(request, nil) }
            return reply
        } catch {
            let problem = Self.problem(error)
            if route.isChange { note(request, problem) }
            return AdminReply(problem)
        }
    }

    /// Operators' changes are on record; the path says what, and holds no secret.
    private func note(_ request: AdminRequest, _ problem: AdminProblem?) {
        let path = request.segments.joined(separator: "/")
        if let problem {
            logger.warning(
                "an operator's command was refused",
                metadata: ["command": "\(path)", "code": "\(problem.code)"]
            )
        } else {
            logger.notice("an operator's command was carried out", metadata: ["command": "\(path)"])
        }
    }

    private static func problem(_ error: any Error) -> AdminProblem {
        switch error {
        case let problem as AdminProblem: return problem
        case let error as OutboxError:
            return AdminProblem(.serviceUnavailable, "outbox_unavailable", "the outbox cannot do it: \(error)")
        default:
            return AdminProblem(
                .serviceUnavailable,
                "outbox_unavailable",
                "the outbox cannot be read or written just now: \(error)"
            )
        }
    }
}
