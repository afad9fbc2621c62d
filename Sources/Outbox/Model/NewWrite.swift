package import DexatelAPI

/// A checked write on its way into the outbox.
package struct NewWrite: Sendable {
    /// The contact, which is also the lane (design §3.3).
    package let contact: ContactReference
    /// PUT or DELETE.
    package let method: WriteMethod
    /// What will be sent.
    package let payload: WritePayload
    /// The key that it will be sent with.
    package let key: KnownKey
    /// How long its sender waits for the upstream's own reply, in milliseconds; 0 when it does not.
    package private(set) var replyWaitMilliseconds: Int64
    /// The sender's `Idempotency-Key` (IETF draft), if it gave one.
    package let idempotencyKey: String?
    /// Who hears of its fate.
    package private(set) var sink: any WriteAnswerSink
    /// The bytes that it takes in the outbox: target, headers and body.
    let admittedBytes: Int
    /// Its headers as they are stored, and the checksum of what it sends: made here, off the commit thread.
    let headerText: String
    let checksum: WriteChecksum
    /// What it sets; nil when nobody can say, and it takes no part in superseding.
    let fields: FieldSet?
    /// What the sink knows the write by.
    package let token: UInt64

    /// Puts a write together.
    ///
    /// - Parameter update: What the body sets, when it has been parsed already.
    package init(
        contact: ContactReference,
        method: WriteMethod,
        payload: WritePayload,
        update: ContactUpdate? = nil,
        key: KnownKey,
        replyWaitMilliseconds: Int64,
        idempotencyKey: String? = nil,
        sink: any WriteAnswerSink,
        token: UInt64
    ) {
        self.contact = contact
        self.method = method
        self.payload = payload
        self.admittedBytes = payload.storedBytes
        headerText = payload.headerText
        checksum = WriteChecksum(target: payload.target, headerText: headerText, body: payload.body)
        self.key = key
        self.replyWaitMilliseconds = replyWaitMilliseconds
        self.idempotencyKey = idempotencyKey
        self.sink = sink
        self.token = token
        if let update, method == .put, !payload.target.utf8.contains(UInt8(ascii: "?")) {
            fields = FieldSet(update)
        } else {
            fields = FieldSet(method: method, payload: payload)
        }
    }

    /// The same write, whose sender has had its answer.
    func answered() -> NewWrite {
        var write = self
        (write.sink, write.replyWaitMilliseconds) = (UnheardAnswers(), 0)
        return write
    }
}
