/// An exchange that brought no whole reply.
package struct ExchangeFailure: Error, Sendable, Hashable, CustomStringConvertible {
    /// What went wrong, in the names that receipts and metrics use.
    package enum Code: String, Sendable, Hashable {
        /// No connection could be made.
        case unreachable
        /// The time was up.
        case timeout
        /// The connection was cut before the reply was whole.
        case connectionReset = "connection_reset"
        /// What came back is not HTTP.
        case malformedReply = "malformed_reply"
        /// The reply exceeds the bound.
        case replyTooLarge = "reply_too_large"
        /// The process or the host had no descriptor, port or memory for a connection: the peer was not asked.
        case noDescriptor = "no_descriptor"
        /// All connections were busy until the time was up, or too many requests were waiting for one.
        case saturated
        /// The request cannot be written as HTTP; it was not sent, and never can be.
        case invalidRequest = "invalid_request"
        /// The request's body ended early or its sender gave up.
        case cancelled
        /// The client was shut down.
        case shutdown
    }

    /// What went wrong.
    package let code: Code
    /// The same for an operator; contains no header, body or key.
    package let message: String
    /// Whether the peer may have acted on the request: true once a byte of it may have been read (P3, `ambiguous`).
    package let mayHaveTakenEffect: Bool
    /// Whether a connection that had rested in the pool broke before the first byte of the reply.
    ///
    /// It then says nothing about the peer, which merely closed an idle connection, and another attempt may follow at once.
    package let isStaleConnection: Bool
    /// The status of a reply that began and was given up for reasons of this side.
    package let status: Int?
    /// The system's error number, where a connection could not be made for that reason.
    package let errorNumber: Int32?

    /// Describes a failure.
    package init(
        _ code: Code,
        _ message: String,
        mayHaveTakenEffect: Bool,
        isStaleConnection: Bool = false,
        status: Int? = nil,
        errorNumber: Int32? = nil
    ) {
        self.code = code
        self.message = message
        self.mayHaveTakenEffect = mayHaveTakenEffect
        self.isStaleConnection = isStaleConnection
        self.status = status
        self.errorNumber = errorNumber
    }

    /// Code and message.
    package var description: String { "\(self.code.rawValue): \(self.message)" }

    static func cancelled(mayHaveTakenEffect: Bool) -> ExchangeFailure {
        ExchangeFailure(
            .cancelled,
            mayHaveTakenEffect ? "the request was cancelled" : "the request was cancelled before it was sent",
            mayHaveTakenEffect: mayHaveTakenEffect
        )
    }

    static let saturated = ExchangeFailure(
        .saturated,
        "no connection to the upstream became free",
        mayHaveTakenEffect: false
    )

    static let crowded = ExchangeFailure(
        .saturated,
        "too many requests wait for the upstream",
        mayHaveTakenEffect: false
    )

    static func shutdown(mayHaveTakenEffect: Bool) -> ExchangeFailure {
        ExchangeFailure(.shutdown, "the relay is shutting down", mayHaveTakenEffect: mayHaveTakenEffect)
    }
}
