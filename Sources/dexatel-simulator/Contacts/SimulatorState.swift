import DexatelAPI

/// The simulated upstream without faults: takes a request, changes its contacts, gives the reply.
///
/// No I/O and no clock: the time of a request comes with it.
struct SimulatorState: Sendable {
    let settings: SimulatorSettings
    var audiences: [UInt128: Audience] = [:]
    private var messageCount = 0

    /// A target longer than this is answered 414.
    static let targetLimitBytes = 8192

    init(settings: SimulatorSettings = SimulatorSettings()) {
        self.settings = settings
        fill(SimulatorSettings.seedAudience, count: settings.seedContactCount)
    }

    /// How many contacts there are in all audiences.
    var contactCount: Int { audiences.values.reduce(0) { $0 + $1.count } }

    /// Answers one request as the API would.
    mutating func handle(_ request: SimulatorRequest) -> SimulatorReply {
        if let refusal = refusalOfKey(request) { return refusal }
        guard request.target.utf8.count <= Self.targetLimitBytes else {
            return request.refusal(414, "The request target is too long")
        }
        guard let route = request.route else { return request.refusal(404, "Resource is not found") }
        guard route.allowedMethods.contains(request.method) else {
            var reply = request.refusal(405, "Method is not allowed")
            reply.add("Allow", route.allowedMethods.joined(separator: ", "))
            return reply
        }
        guard request.method == "GET" || request.method == "HEAD" else { return write(to: route, request) }
        let reply = read(route, request)
        return withCacheFields(reply, for: request)
    }

    private mutating func read(_ route: APIRoute, _ request: SimulatorRequest) -> SimulatorReply {
        switch route {
        case .audiences:
            return listAudiences(request)
        case .audience(let audience?):
            return readAudience(audience, request)
        case .contacts(let audience?):
            return listContacts(of: audience, request)
        case .contact(let audience?, let contact?):
            return read(ContactReference(audience: audience, contact: contact), request)
        case .audience, .contacts, .contact, .messages:
            return request.refusal(.invalidContactIdentifier)
        }
    }

    private mutating func write(to route: APIRoute, _ request: SimulatorRequest) -> SimulatorReply {
        switch route {
        case .messages:
            return takeMessage(request)
        case .contacts(let audience?):
            return create(in: audience, request)
        case .contact(let audience?, let contact?):
            let reference = ContactReference(audience: audience, contact: contact)
            return request.method == "PUT" ? update(reference, request) : delete(reference, request)
        case .audiences, .audience, .contacts, .contact:
            return request.refusal(.invalidContactIdentifier)
        }
    }

    private func refusalOfKey(_ request: SimulatorRequest) -> SimulatorReply? {
        guard let key = request.key else { return request.refusal(401, "API key is missing") }
        if settings.forbiddenKeys.contains(key) { return request.refusal(403, "API key is not allowed") }
        guard settings.knownKeys.isEmpty || settings.knownKeys.contains(key) else {
            return request.refusal(401, "API key is wrong")
        }
        return nil
    }

    private mutating func takeMessage(_ request: SimulatorRequest) -> SimulatorReply {
        if let refusal = request.refusalOfBody() { return refusal }
        guard case .object = JSONValue(parsing: request.body) else {
            return request.refusal(400, "The body must be a JSON object")
        }
        messageCount += 1
        var writer = JSONWriter()
        writer.beginObject()
        writer.name("data")
        writer.beginObject()
        writer.member("id", UUIDText.text(DerivedIdentifier.message(messageCount)))
        writer.endObject()
        writer.endObject()
        var reply = SimulatorReply(status: 202, json: writer.bytes)
        reply.isApplied = true
        return reply
    }
}
