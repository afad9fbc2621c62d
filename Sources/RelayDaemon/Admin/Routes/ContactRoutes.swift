import AdminAPI
import DexatelAPI
import NIOHTTP1
import Outbox

/// Stops contacts, and lets them go.
struct ContactRoutes: Sendable {
    let outbox: Outbox

    static func all(_ parts: AdminParts) -> [AdminRoute] {
        let routes = ContactRoutes(outbox: parts.outbox)
        return [
            .get("contacts/stopped") { _ in try await routes.stopped() },
            .change("contacts/hold") { try await routes.change($0, isStopped: true) },
            .change("contacts/release") { try await routes.change($0, isStopped: false) },
        ]
    }

    private func stopped() async throws -> AdminReply {
        let stopped = try await outbox.stoppedContacts()
        return try AdminReply(
            StoppedContacts(
                stopped.map {
                    StoppedContacts.Item(
                        ContactName($0.contact),
                        stoppedAt: RFC3339.text(millisecondsSinceEpoch: $0.stoppedAtMilliseconds)
                    )
                }
            )
        )
    }

    private func change(_ request: AdminRequest, isStopped: Bool) async throws -> AdminReply {
        let asked = try request.message(ContactsRequest.self)
        guard asked.contacts.count <= ContactsRequest.maxContacts else {
            let text = "one request takes \(ContactsRequest.maxContacts) contacts at most; send them in parts"
            throw AdminProblem(.payloadTooLarge, "too_many_contacts", text)
        }
        let contacts = try asked.contacts.map { try ContactReference($0) }
        let changed = isStopped ? try await outbox.hold(contacts) : try await outbox.release(contacts)
        return try AdminReply(ContactsReply(changed: changed))
    }
}
