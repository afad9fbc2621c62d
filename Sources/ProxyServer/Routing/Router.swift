import DexatelAPI
import HTTPWire
import NIOHTTP1
import Outbox

/// Finds who serves a request; called on the connection's event loop.
protocol RequestRouter: Sendable {
    /// Answers the request whose head has come, or lets an exchange do so (``ConnectionHandler/serve(with:)``).
    func serve(_ head: RequestHead, on connection: ConnectionHandler)
}

/// Serves every request as design §2.1 says.
struct Router: RequestRouter {
    let server: ServerCore

    /// Serves the request whose head has come on a connection.
    func serve(_ head: RequestHead, on connection: ConnectionHandler) {
        guard !head.isRefused, let target = head.originForm else {
            return serveAdmitted(head, connection) { _ in connection.answer(answer(toUnforwarded: head), from: nil) }
        }
        guard head.target.utf8.first == UInt8(ascii: "/") else {
            if let authority = ForwardedTarget.authority(head.target),
                let refusal = connection.refusal(ofAuthority: authority)
            {
                return connection.answer(refused(refusal, head), from: nil)
            }
            // From here on absolute form is no matter: what is stored or forwarded is the path.
            return serve(head.with(target: target), target, connection)
        }
        serve(head, target, connection)
    }

    /// Serves a request that may be forwarded by its path.
    private func serve(_ head: RequestHead, _ target: String, _ connection: ConnectionHandler) {
        switch RequestTarget.classify(target) {
        case .relay(let path):
            RelayEndpointExchange(head, path: path, server: server, connection: connection).begin()
        case .contactNotCanonical:
            serveAdmitted(head, connection) { _ in connection.answer(notCanonical(head), from: nil) }
        case .contact(let contact):
            if let method = head.writeMethod {
                connection.route = .contactWrite
                ContactWriteExchange(head, method, contact, server: server, connection: connection).begin()
            } else {
                forward(head, contact, .contact(contact), connection)
            }
        case .contactIdentifierInvalid:
            if let method = head.writeMethod {
                connection.route = .contactWrite
                ContactWriteExchange(head, method, nil, server: server, connection: connection).begin()
            } else {
                forward(head, nil, .other, connection)
            }
        case .contactList(let audience):
            forward(head, nil, .contactList(audience: audience), connection)
        case .other:
            forward(head, nil, .other, connection)
        }
    }

    /// Serves what is neither queued nor the relay's own.
    private func forward(
        _ head: RequestHead,
        _ contact: ContactReference?,
        _ subject: ReadRequest.Subject,
        _ connection: ConnectionHandler
    ) {
        switch head.method {
        case .GET, .HEAD:
            connection.route = subject.route
            return reads.serve(head, subject, on: connection)
        case .OPTIONS where head.maxForwards == 0:
            return serveAdmitted(head, connection) { _ in connection.answer(Self.ownOptions, from: nil) }
        default:
            connection.route = .passThrough
        }
        serveAdmitted(head, connection) { caller in
            PassThroughExchange(head, caller, contact: contact, server: server, connection: connection).begin()
        }
    }

    /// Serves a request whose fields nobody else looks at, if its client may ask.
    private func serveAdmitted(_ head: RequestHead, _ connection: ConnectionHandler, _ serve: (Caller) -> Void) {
        do throws(ClientRefusal) {
            serve(try connection.admit(ClientFields(head)))
        } catch {
            connection.answer(refused(error, head), from: nil)
        }
    }

    private func refused(_ refusal: ClientRefusal, _ head: RequestHead) -> Reply {
        server.errors.refused(refusal, isRelayEndpoint: false, for: RequestSummary(head))
    }

    private var reads: ReadRouting { ReadRouting(server: server) }

    private func notCanonical(_ head: RequestHead) -> Reply {
        server.errors.reply(
            400,
            "target_not_canonical",
            "A contact's path must be written /v1/audiences/{audience_id}/contacts/{contact_id}, "
                + "without escapes, dot segments or further slashes",
            for: RequestSummary(head)
        )
    }

    private static let allowedMethods = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"

    /// The answer to an OPTIONS request about the relay itself: one that must not be forwarded any further (RFC 9110
    /// §7.6.2), or whose target is `*` (§9.3.7).
    private static let ownOptions = Reply(status: 200, headers: [("Allow", allowedMethods)])

    /// The answer to a request that is never forwarded, whatever it names.
    private func answer(toUnforwarded head: RequestHead) -> Reply {
        let request = RequestSummary(head)
        switch head.method {
        case .CONNECT, .TRACE:
            // TRACE would echo the key; CONNECT would make a tunnel.
            var reply = server.errors.reply(
                405,
                "method_not_allowed",
                "The relay does not forward \(head.method.rawValue)",
                for: request
            )
            reply.headers.append(("Allow", Self.allowedMethods))
            reply.mustClose = head.method == .CONNECT
            return reply
        case .OPTIONS where head.target == "*":
            return Self.ownOptions
        default:
            return server.errors.reply(
                400,
                "target_malformed",
                "The request target must be a path, or an absolute http or https URL, in printable ASCII",
                for: request
            )
        }
    }
}

extension RequestHead {
    /// The target in origin form; nil where it has none.
    fileprivate var originForm: String? {
        if hasVisibleTarget, target.utf8.first == UInt8(ascii: "/") { return target }
        return ForwardedTarget.originForm(target)
    }

    /// Whether the method is one that the relay never forwards: CONNECT makes a tunnel, TRACE shows fields.
    fileprivate var isRefused: Bool {
        switch method {
        case .CONNECT, .TRACE: true
        default: false
        }
    }

    /// How the request changes a contact, if it goes to the outbox.
    fileprivate var writeMethod: WriteMethod? {
        switch method {
        case .PUT: .put
        case .DELETE: .delete
        default: nil
        }
    }
}

extension ReadRequest.Subject {
    /// What reads of it are counted by.
    fileprivate var route: RequestRoute {
        switch self {
        case .contact: .contactRead
        case .contactList: .contactList
        case .other: .read
        }
    }
}
