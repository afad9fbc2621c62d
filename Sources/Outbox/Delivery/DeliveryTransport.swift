package import DexatelAPI
package import NIOCore
package import NIOHTTP1

/// The way to the upstream, as the delivery engine sees it; the daemon gives it one (design §9).
package protocol DeliveryTransport: Sendable {
    /// Whether the upstream is believed to be there, so that a sender may wait for its own reply (§3.2).
    var isHealthy: Bool { get }

    /// Asks the breaker whether one write to this contact may be sent now.
    func admit(_ contact: ContactReference) -> DeliveryAdmission

    /// Sends one write and reports to the breaker how that went. An attempt whose outcome is unknown has closed its
    /// connection when this returns (P3).
    func send(_ delivery: Delivery, permit: DeliveryPermit) async -> DeliveryOutcome

    /// Gives back a permit that was not used.
    func release(_ permit: DeliveryPermit)
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
    /// The headers, without the hop-by-hop fields.
    package let headers: HTTPHeaders
    /// The body.
    package let body: ByteBuffer
    /// `Retry-After`, read: milliseconds.
    package let retryAfterMilliseconds: Int64?
    /// Whether its length or its chunks say that it is whole; else it ended with its connection.
    package let isCompletelyFramed: Bool

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
