import DexatelAPI

extension SimulatorState {
    /// Update: `PUT /v1/audiences/{audience}/contacts/{contact}`.
    mutating func update(_ reference: ContactReference, _ request: SimulatorRequest) -> SimulatorReply {
        if let refusal = request.refusalOfBody() { return refusal }
        let change: ContactChange
        do {
            change = try ContactChange.read(request.body)
        } catch {
            return request.refusal(400, error.message)
        }
        if let code = change.exceededLimit { return request.refusal(code) }
        var contact: StoredContact
        if let known = audiences[reference.audience]?[reference.contact] {
            contact = known
        } else if settings.createsOnPut {
            contact = StoredContact(reference, createdSeconds: request.receivedSeconds)
        } else {
            return request.refusal(.contactNotFound)
        }
        if let number = change.number, let owner = audiences[reference.audience]?.contact(withNumber: number),
            owner != reference.contact
        {
            return request.refusal(.contactAlreadyExists)
        }
        contact.apply(change, semantics: settings.putSemantics, atSeconds: request.receivedSeconds)
        store(contact)
        return applied(contact, status: 200, request)
    }

    /// Create: `POST /v1/audiences/{audience}/contacts`.
    mutating func create(in audience: UInt128, _ request: SimulatorRequest) -> SimulatorReply {
        if let refusal = request.refusalOfBody() { return refusal }
        guard audiences[audience] != nil || settings.createsOnPut else {
            return request.refusal(404, "Audience is not found")
        }
        let change: ContactChange
        do {
            change = try ContactChange.read(request.body)
        } catch {
            return request.refusal(400, error.message)
        }
        if let code = change.numberRefusal ?? change.exceededLimit { return request.refusal(code) }
        guard let number = change.number, audiences[audience]?.contact(withNumber: number) == nil else {
            return request.refusal(.contactAlreadyExists)
        }
        // A contact may have been renumbered since it was made for this number: its identifier stays taken.
        var id = DerivedIdentifier.created(number: number, in: audience)
        while audiences[audience]?[id] != nil { id &+= 1 }
        var contact = StoredContact(
            ContactReference(audience: audience, contact: id),
            createdSeconds: request.receivedSeconds
        )
        contact.apply(change, semantics: .merge, atSeconds: request.receivedSeconds)
        store(contact)
        return applied(contact, status: 201, request)
    }

    /// Delete: `DELETE /v1/audiences/{audience}/contacts/{contact}`.
    mutating func delete(_ reference: ContactReference, _ request: SimulatorRequest) -> SimulatorReply {
        guard audiences[reference.audience]?.remove(reference.contact) == true else {
            return request.refusal(.contactNotFound)
        }
        var reply = SimulatorReply(status: 204)
        reply.isApplied = true
        return reply
    }

    /// Puts a contact in, with its audience if that is new.
    mutating func store(_ contact: StoredContact) {
        let audience = contact.reference.audience
        audiences[audience, default: Audience(id: audience)].store(contact)
    }

    /// Fills an audience with contacts whose identifiers and fields follow from their index.
    mutating func fill(_ audience: UInt128, count: Int) {
        audiences[audience, default: Audience(id: audience)].reserve(count)
        for index in 0..<count {
            let reference = ContactReference(
                audience: audience,
                contact: DerivedIdentifier.seeded(index, in: audience)
            )
            var contact = StoredContact(reference, createdSeconds: SimulatorSettings.seedTimeSeconds)
            let change = ContactChange(texts: [
                .number: "\(37_400_000_000 + index)",
                .firstName: "First \(index)",
                .lastName: "Last \(index)",
                .timestamp: "\(SimulatorSettings.seedTimeSeconds + Int64(index))",
                .date: "2024-01-01",
            ])
            contact.apply(change, semantics: .merge, atSeconds: SimulatorSettings.seedTimeSeconds)
            store(contact)
        }
    }

    private func applied(_ contact: StoredContact, status: Int, _ request: SimulatorRequest) -> SimulatorReply {
        var reply = contactReply(contact, status: status, request)
        reply.isApplied = true
        return reply
    }
}
