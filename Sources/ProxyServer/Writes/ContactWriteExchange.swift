import DexatelAPI
import HTTPWire
import NIOCore
import Outbox
import Upstream

/// Serves one PUT or DELETE of a contact: check, commit, answer (design §3.1, §3.2).
final class ContactWriteExchange: Exchange {
    private let head: RequestHead
    private let fields: WriteRequestFields
    private let method: WriteMethod
    private let contact: ContactReference?
    private let server: ServerCore
    private let connection: ConnectionHandler
    private var key: KnownKey?
    private var body = ByteBuffer()
    private var update = ContactUpdate(members: [])
    private var preference = Preference()
    /// What is answered if the write repeats none that is in the outbox.
    private var refusal: Reply?
    private var isOver = false

    /// - Parameter contact: nil when the path has the shape of a contact's, but not its identifiers.
    init(
        _ head: RequestHead,
        _ method: WriteMethod,
        _ contact: ContactReference?,
        server: ServerCore,
        connection: ConnectionHandler
    ) {
        self.head = head.detached
        fields = WriteRequestFields(self.head)
        self.method = method
        self.contact = contact
        self.server = server
        self.connection = connection
    }

    private var request: RequestSummary { RequestSummary(head) }

    /// Checks the head, in the order of §3.1, and asks for the body.
    func begin() {
        connection.serve(with: self)
        if var refusal = refusalOfHead() {
            // A client that waits for 100 (Continue) may send its body or not: the connection cannot be used further.
            refusal.mustClose = head.expectsContinue
            return answer(refusal)
        }
        if head.expectsContinue { connection.writeContinue() }
    }

    private func refusalOfHead() -> Reply? {
        let caller: Caller
        do throws(ClientRefusal) {
            caller = try connection.admit(ClientFields(head))
        } catch {
            return server.errors.refused(error, isRelayEndpoint: false, for: request)
        }
        guard let key = caller.key else {
            return server.errors.reply(401, "key_missing", "The header X-Dexatel-Key is required", for: request)
        }
        guard contact != nil else {
            let code = DexatelErrorCode.invalidContactIdentifier
            return server.errors.reply(code.status, "contact_identifier", code.message, code: code, for: request)
        }
        do throws(WriteFault) {
            try rules.check(fields, method)
        } catch {
            return refusal(of: error)
        }
        // With an idempotency key, what the body says has to be known first.
        guard !key.isHeld || idempotencyKey != nil else { return keyRefused }
        self.key = key
        return nil
    }

    private var keyRefused: Reply {
        server.errors.reply(
            401,
            "key_refused",
            "The upstream refuses this API key; its earlier writes are held",
            for: request
        )
    }

    private var idempotencyKey: String? {
        if case .value(let key) = fields.idempotencyKey { key } else { nil }
    }

    private var rules: WriteRules { WriteRules(server.configuration) }

    private func refusal(of fault: WriteFault) -> Reply {
        server.errors.reply(fault.status, fault.slug, fault.message, code: fault.code, for: request)
    }

    // MARK: - Body

    func receive(_ bytes: ByteBuffer) {
        guard !isOver else { return }
        let most = server.configuration.maxWriteBodyBytes
        guard body.readableBytes + bytes.readableBytes <= most else {
            return answer(refusal(of: .bodyTooLarge(most)))
        }
        guard connection.reserveBuffered(bytes.readableBytes) else {
            return answer(
                server.errors.reply(
                    503,
                    "buffers_full",
                    "Too many request bodies are being received",
                    retryAfterSeconds: 1,
                    for: request
                )
            )
        }
        // A copy, so that a write that waits does not keep what was read with it.
        body.writeImmutableBuffer(bytes)
    }

    func end() {
        guard !isOver, let contact, let key else { return }
        do throws(WriteFault) {
            if let checked = try rules.check(body, method) { update = checked }
        } catch {
            return answer(refusal(of: error))
        }
        if head.fields.has(.prefer) { preference = Preference(head.fields) }
        submit(contact, key)
    }

    private func submit(_ contact: ContactReference, _ key: KnownKey) {
        let sink = connection.eventLoopContext.sink
        let token = sink.register(self)
        let write = NewWrite(
            contact: contact,
            method: method,
            payload: WritePayload(
                target: head.target,
                headers: HeaderHygiene.storedWrite(head.headers),
                body: body
            ),
            update: update,
            key: key,
            replyWaitMilliseconds: preference.replyWaitMilliseconds(
                default: server.configuration.replyWaitMilliseconds,
                max: server.configuration.maxReplyWaitMilliseconds
            ),
            idempotencyKey: idempotencyKey,
            sink: sink,
            token: token
        )
        if key.isHeld { return refuse(write, keyRefused) }
        guard let reason = server.outbox.admit(write) else { return sink.submit(write, to: server.outbox) }
        refuse(write, server.errors.unavailable(reason, for: request))
    }

    /// Refuses a write, unless it repeats one that was accepted: the sender is owed the same receipt then, and nothing is
    /// to be stored.
    private func refuse(_ write: NewWrite, _ reply: Reply) {
        guard write.idempotencyKey != nil else {
            connection.eventLoopContext.sink.forget(write.token)
            return answer(reply)
        }
        refusal = reply
        server.outbox.findRepetition(of: write)
    }

    func cancel() { isOver = true }

    // MARK: - Answers

    /// The outbox's answer; the client may have gone meanwhile, which changes nothing of the write's fate.
    func take(_ answer: WriteAnswer) {
        guard !isOver else { return }
        switch answer {
        case .accepted(let id): self.answer(accepted(id))
        case .repeated(let receipt): self.answer(repeated(receipt))
        case .idempotencyConflict:
            self.answer(
                server.errors.reply(
                    422,
                    "idempotency_conflict",
                    "This Idempotency-Key was used for another write",
                    for: request
                )
            )
        case .notRepeated: self.answer(refusal ?? server.errors.unavailable(.storageFailed, for: request))
        case .replied(let id, let reply): self.answer(Self.forwarded(reply, id, preference))
        case .unavailable(let reason): self.answer(server.errors.unavailable(reason, for: request))
        }
    }

    private func accepted(_ id: WriteID) -> Reply {
        let name = id.description
        var headers = [("Contact-Relay-Write", name), ("Location", "/_relay/writes/\(name)")]
        if let applied = preference.applied(isAsynchronous: true) { headers.append(("Preference-Applied", applied)) }
        let usesUpstreamStatus = server.configuration.acceptsWithUpstreamStatus
        guard method == .put, let contact else {
            return Reply(status: usesUpstreamStatus ? 204 : 202, headers: headers)
        }
        headers.insert(("Content-Type", "application/json"), at: 0)
        return Reply(
            status: usesUpstreamStatus ? 200 : 202,
            headers: headers,
            body: AcceptedBody(contact: contact, update: update).rendered(from: body, allocator: ByteBufferAllocator())
        )
    }

    /// The answer to a write that was made before: the upstream's reply, if it is kept whole, else the same 202.
    private func repeated(_ receipt: Receipt) -> Reply {
        guard receipt.state == .delivered || receipt.state == .rejected, let status = receipt.responseStatus,
            !receipt.isResponseCut,
            // A DELETE that found nothing to delete any more was delivered; who sent it was told 202, and no error.
            receipt.state == .rejected || (200..<300).contains(status)
        else { return accepted(receipt.id) }
        let body = receipt.responseBody ?? []
        var headers = [("Contact-Relay-Write", receipt.id.description)]
        if !body.isEmpty { headers.insert(("Content-Type", "application/json"), at: 0) }
        return Reply(status: status, headers: headers, body: ByteBuffer(bytes: body))
    }

    private static func forwarded(_ reply: DeliveryReply, _ id: WriteID, _ preference: Preference) -> Reply {
        var headers = HeaderHygiene.forwardedReply(reply.headers).filter { !$0.name.isSameASCII(as: "content-length") }
            .map { (name: $0.name, value: $0.value) }
        headers.append(("Contact-Relay-Write", id.description))
        if let applied = preference.applied(isAsynchronous: false) { headers.append(("Preference-Applied", applied)) }
        return Reply(status: reply.status, headers: headers, body: reply.body)
    }

    private func answer(_ reply: Reply) {
        var reply = reply
        if let contact, let key, let dead = server.deadField(contact, key) { reply.headers.append(dead) }
        connection.answer(reply, from: self)
    }
}
