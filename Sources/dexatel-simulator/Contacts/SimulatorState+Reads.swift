import DexatelAPI

extension SimulatorState {
    /// One contact.
    func read(_ reference: ContactReference, _ request: SimulatorRequest) -> SimulatorReply {
        guard let contact = audiences[reference.audience]?[reference.contact] else {
            return request.refusal(.contactNotFound)
        }
        return contactReply(contact, status: 200, request)
    }

    /// One page of an audience's contacts.
    mutating func listContacts(of audience: UInt128, _ request: SimulatorRequest) -> SimulatorReply {
        guard audiences[audience] != nil else { return request.refusal(404, "Audience is not found") }
        guard let page = ContactPage(request) else {
            return request.refusal(400, "'page_size' or 'page_token' is invalid")
        }
        let found =
            audiences[audience]?.page(page.number, size: page.size, search: page.search) ?? (contacts: [], total: 0)
        var writer = JSONWriter()
        writer.beginObject()
        writer.name("data")
        writer.beginArray()
        for contact in found.contacts {
            writer.element()
            contact.write(to: &writer, linkBase: request.linkBase)
        }
        writer.endArray()
        page.write(to: &writer, total: found.total, url: request.linkBase + request.path)
        writer.endObject()
        return SimulatorReply(status: 200, json: writer.bytes)
    }

    /// All audiences, in the order of their identifiers.
    func listAudiences(_ request: SimulatorRequest) -> SimulatorReply {
        var writer = JSONWriter()
        writer.beginObject()
        writer.name("data")
        writer.beginArray()
        for audience in audiences.values.sorted(by: { $0.id < $1.id }) {
            writer.element()
            audience.write(to: &writer, linkBase: request.linkBase)
        }
        writer.endArray()
        writer.endObject()
        return SimulatorReply(status: 200, json: writer.bytes)
    }

    /// One audience.
    func readAudience(_ id: UInt128, _ request: SimulatorRequest) -> SimulatorReply {
        guard let audience = audiences[id] else { return request.refusal(404, "Audience is not found") }
        var writer = JSONWriter()
        writer.beginObject()
        writer.name("data")
        audience.write(to: &writer, linkBase: request.linkBase)
        writer.endObject()
        return SimulatorReply(status: 200, json: writer.bytes)
    }

    /// `{"data":{contact}}`.
    func contactReply(_ contact: StoredContact, status: Int, _ request: SimulatorRequest) -> SimulatorReply {
        var writer = JSONWriter()
        writer.beginObject()
        writer.name("data")
        contact.write(to: &writer, linkBase: request.linkBase)
        writer.endObject()
        return SimulatorReply(status: status, json: writer.bytes)
    }

    /// Adds the validators and freshness that were asked for at the start, and answers 304 where one matches.
    func withCacheFields(_ reply: SimulatorReply, for request: SimulatorRequest) -> SimulatorReply {
        guard reply.status == 200 else { return reply }
        var reply = reply
        if settings.sendsETags {
            let tag = "\"\(Fingerprint.text(Fingerprint.hash(reply.body)))\""
            if let held = request.ifNoneMatch, Self.matches(held, tag) { reply = SimulatorReply(status: 304) }
            reply.add("ETag", tag)
        }
        if let cacheControl = settings.cacheControl { reply.add("Cache-Control", cacheControl) }
        return reply
    }

    /// Weak comparison (RFC 9110 §13.1.2); the simulator's own tags hold no comma.
    private static func matches(_ ifNoneMatch: String, _ tag: String) -> Bool {
        ifNoneMatch.split(separator: ",").contains { candidate in
            let bare = candidate.filter { $0 != " " && $0 != "\t" }
            return bare == "*" || bare == tag || bare == "W/\(tag)"
        }
    }
}
