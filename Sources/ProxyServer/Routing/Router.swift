import DexatelAPI
import NIOHTTP1

/// Finds who serves a request (design §2.1).
struct Router {
    let server: ServerCore

    /// Serves the request whose head has come on a connection.
    func serve(_ head: HTTPRequestHead, on connection: ConnectionHandler) {
        switch RequestTarget.classify(head.uri) {
        case .relay(let path):
            RelayEndpointExchange(head, path: path, server: server, connection: connection).begin()
        case .contactNotCanonical:
            connection.answer(
                server.errors.reply(
                    400,
                    "target_not_canonical",
                    "A contact's path must be written /v1/audiences/{audience_id}/contacts/{contact_id}, "
                        + "without escapes, dot segments or further slashes",
                    for: RequestSummary(head)
                ),
                from: nil
            )
        case .contact(let contact):
            guard let method = WriteMethodName(head.method).method else { return serveOther(head, connection) }
            ContactWriteExchange(head, method, contact, server: server, connection: connection).begin()
        case .contactIdentifierInvalid:
            guard let method = WriteMethodName(head.method).method else { return serveOther(head, connection) }
            ContactWriteExchange(head, method, nil, server: server, connection: connection).begin()
        case .contactList, .other:
            serveOther(head, connection)
        }
    }

    private func serveOther(_ head: HTTPRequestHead, _ connection: ConnectionHandler) {
        connection.answer(
            server.errors.reply(
                501,
                "not_forwarded",
                "This release of the relay forwards contact updates (PUT) and deletions (DELETE) only",
                for: RequestSummary(head)
            ),
            from: nil
        )
    }
}
