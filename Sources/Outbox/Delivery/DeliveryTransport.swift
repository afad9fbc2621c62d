package import DexatelAPI
package import NIOCore
package import NIOHTTP1

/// The way to the upstream, as the delivery engine sees it; the daemon gives it one (design §9).
package protocol DeliveryTransport: Sendable {
    /// Whether the upstream is believed to be there, so that a sender may wait for its own reply (§3.2).
    var isHealthy: Bool { get }

    /// Asks the breaker whether one write to this contact may be sent now.
    func admit(_ contact: ContactReference) -> DeliveryAdmission

    /// Begins to send writes that were claimed together, and returns at once; called on any thread, under no lock.
    ///
    /// Each delivery ends with exactly one outcome, of which the breaker has been told by then, and which gives its
    /// permit back. An attempt whose outcome is unknown has closed its connection before that (P3).
    func begin(_ deliveries: [Delivery], for receiver: any DeliveryReceiver)

    /// Gives back a permit that was not used.
    func release(_ permit: DeliveryPermit)
}

/// Takes the outcomes of deliveries.
package protocol DeliveryReceiver: AnyObject, Sendable {
    /// Takes outcomes that came together, as those of one turn of an event loop do; may be called on an event loop, and
    /// before `begin` returns, but under no lock.
    func ended(_ deliveries: [DeliveryEnd])
}

/// A delivery that has ended.
package struct DeliveryEnd: Sendable {
    /// The write that was sent.
    package let sequence: Int64
    /// What became of it.
    package let outcome: DeliveryOutcome

    /// Says what became of a write.
    package init(sequence: Int64, outcome: DeliveryOutcome) {
        self.sequence = sequence
        self.outcome = outcome
    }
}

/// The breaker's answer.
package enum DeliveryAdmission: Sendable {
    /// Send it.
    case go(DeliveryPermit)
    /// Not before so many milliseconds.
    case wait(milliseconds: Int64)
    /// Not before an attempt that is under way has ended.
    case saturated
}

/// Leave to send one write; what is in it is the transport's affair.
package struct DeliveryPermit: Sendable {
    /// The transport's own permit.
    package let value: any Sendable

    /// Wraps the transport's permit.
    package init(_ value: any Sendable) { self.value = value }
}

/// One write to be sent.
package struct Delivery: Sendable {
    /// Its place in the order of commit, by which its outcome is told.
    package let sequence: Int64
    /// Leave to send it.
    package let permit: DeliveryPermit
    /// The contact that it writes to.
    package let contact: ContactReference
    /// PUT or DELETE.
    package let method: WriteMethod
    /// Target, headers and body, as they came.
    package let payload: WritePayload
    /// The key to send with it.
    package let apiKey: Secret
    /// What the relay calls that key.
    package let key: KeyFingerprint
}

/// How an attempt went.
package enum DeliveryOutcome: Sendable {
    /// The upstream answered completely.
    case reply(DeliveryReply)
    /// It did not.
    case failure(DeliveryFailure)
}

/// A reply of the upstream, with any content coding of its body undone.
package struct DeliveryReply: Sendable {
    /// The status.
    package let status: Int
    /// The header fields as they came, hop-by-hop fields included.
    package let headers: HTTPHeaders
    /// The body.
    package let body: ByteBuffer
    /// `Retry-After`, read: milliseconds.
    package let retryAfterMilliseconds: Int64?
    /// Whether its length or its chunks say that it is whole; else it ended with its connection.
    package let isCompletelyFramed: Bool
    /// Whether the upstream confirms a write: 2xx, and a body that is a JSON object, or empty and certain to be whole.
    ///
    /// Anything else may be some proxy's page, or a reply that was cut short.
    package let isConfirmation: Bool

    /// Puts a reply together.
    package init(
        status: Int,
        headers: HTTPHeaders,
        body: ByteBuffer,
        retryAfterMilliseconds: Int64?,
        isCompletelyFramed: Bool = true
    ) {
        self.isCompletelyFramed = isCompletelyFramed
        self.status = status
        self.headers = headers
        self.body = body
        self.retryAfterMilliseconds = retryAfterMilliseconds
        isConfirmation = (200..<300).contains(status) && Self.confirms(body, isCompletelyFramed)
    }

    private static func confirms(_ body: ByteBuffer, _ isCompletelyFramed: Bool) -> Bool {
        body.withUnsafeReadableBytes { bytes in
            // Some servers put a byte order mark before JSON, which RFC 8259 §8.1 lets readers ignore.
            let isMarked = bytes.starts(with: [0xEF, 0xBB, 0xBF])
            let text = UnsafeRawBufferPointer(rebasing: bytes.dropFirst(isMarked ? 3 : 0))
            if !isMarked, text.allSatisfy({ [0x20, 0x09, 0x0A, 0x0D].contains($0) }) { return isCompletelyFramed }
            return JSONDocument.isObject(text)
        }
    }
}

/// An attempt without a complete reply.
package struct DeliveryFailure: Sendable, Equatable {
    /// What happened, for an operator; without secrets.
    package let message: String
    /// Whether the write may have taken effect all the same (P3).
    package let isAmbiguous: Bool
    /// Whether the upstream had merely closed a connection that rested, so that there is no reason to wait.
    package let isStaleConnection: Bool

    /// Describes a failure.
    package init(message: String, isAmbiguous: Bool, isStaleConnection: Bool = false) {
        self.message = message
        self.isAmbiguous = isAmbiguous
        self.isStaleConnection = isStaleConnection
    }
}
