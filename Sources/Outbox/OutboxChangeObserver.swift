package import DexatelAPI
package import NIOCore

/// Hears what reads have to show of the writes that are under way (P5); must not block, and is called off event loops.
package protocol OutboxChangeObserver: AnyObject, Sendable {
    /// A write to this contact with this key is durable; its sender has not been answered yet.
    func accepted(_ contact: ContactReference, by key: KeyFingerprint)
    /// The upstream has taken a write; it is still pending in the outbox, and its sender has not been told yet.
    func delivered(_ write: DeliveredWrite)
    /// A write to this contact is pending no more, which is durable; its sender has not been answered yet.
    ///
    /// - Parameters:
    ///   - key: Nil for a key that is not known any more.
    ///   - isConfirmed: Whether the upstream has confirmed it, as ``delivered(_:)`` has told.
    func ended(_ contact: ContactReference, by key: KeyFingerprint?, isConfirmed: Bool)
}

/// A write that the upstream has taken.
package struct DeliveredWrite: Sendable {
    /// The contact.
    package let contact: ContactReference
    /// The fingerprint of its key.
    package let key: KeyFingerprint
    /// Its place in the order of commit.
    package let sequence: Int64
    /// PUT or DELETE.
    package let method: WriteMethod
    /// What was sent.
    package let body: ByteBuffer
    /// The body of the upstream's reply.
    package let reply: ByteBuffer
    /// Whether the upstream has confirmed it; else it says of a contact that was to be deleted that there is none.
    package let isConfirmed: Bool
}

/// A write that is pending, as far as a read shows it.
package struct PendingContactWrite: Sendable, Equatable {
    /// The contact.
    package let contact: ContactReference
    /// Its place in the order of commit.
    package let sequence: Int64
    /// PUT or DELETE.
    package let method: WriteMethod
    /// The body, as it will be sent; nil where later ones set all that it sets, or there was no room to read it.
    package let body: ByteBuffer?
}

/// The pending writes of some contacts, as far as a read shows them.
package struct PendingContactWrites: Sendable {
    /// The writes, in order.
    package var writes: [PendingContactWrite] = []
    /// Whether all bodies are there that matter: so many bytes are read for one reply at most (P8).
    package var isComplete = true
}
