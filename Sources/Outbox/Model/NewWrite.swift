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
    package let replyWaitMilliseconds: Int64
    /// Who hears of its fate.
    package let sink: any WriteAnswerSink
    /// The bytes that it takes in the outbox: target, headers and body.
    let admittedBytes: Int
    /// What the sink knows the write by.
    package let token: UInt64

    /// Puts a write together.
    package init(
        contact: ContactReference,
        method: WriteMethod,
        payload: WritePayload,
        key: KnownKey,
        replyWaitMilliseconds: Int64,
        sink: any WriteAnswerSink,
        token: UInt64
    ) {
        self.contact = contact
        self.method = method
        self.payload = payload
        self.admittedBytes = payload.storedBytes
        self.key = key
        self.replyWaitMilliseconds = replyWaitMilliseconds
        self.sink = sink
        self.token = token
    }
}
