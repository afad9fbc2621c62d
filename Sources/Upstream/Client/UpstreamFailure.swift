package import HTTPClient

/// An exchange with the upstream that brought no whole reply.
package struct UpstreamFailure: Error, Sendable, Hashable, CustomStringConvertible {
    /// What went wrong, in the names that receipts and metrics use.
    package enum Code: String, Sendable, Hashable {
        /// No connection could be made.
        case unreachable
        /// The time was up.
        case timeout
        /// The connection was cut before the reply was whole.
        case connectionReset = "connection_reset"
        /// The reply is not HTTP.
        case malformedReply = "malformed_reply"
        /// The reply exceeds the bound.
        case replyTooLarge = "reply_too_large"
        /// The process or the host had no descriptor, port or memory for a connection: the upstream was not asked.
        case noDescriptor = "no_descriptor"
        /// All connections were busy until the time was up, or too many requests were waiting for one.
        case saturated
        /// The request cannot be written as HTTP; it was not sent, and never can be.
        case invalidRequest = "invalid_request"
        /// The app's body ended early or the calling task was cancelled.
        case cancelled
        /// The client was shut down.
        case shutdown

        init(_ code: ExchangeFailure.Code) {
            self =
                switch code {
                case .unreachable: .unreachable
                case .timeout: .timeout
                case .connectionReset: .connectionReset
                case .malformedReply: .malformedReply
                case .replyTooLarge: .replyTooLarge
                case .noDescriptor: .noDescriptor
                case .saturated: .saturated
                case .invalidRequest: .invalidRequest
                case .cancelled: .cancelled
                case .shutdown: .shutdown
                }
        }
    }

    /// What went wrong.
    package let code: Code
    /// The same for an operator; contains no header, body or key.
    package let message: String
    /// Whether the upstream may have acted on the request: true once a byte of it may have been sent (P3,
    /// `ambiguous`).
    package let mayHaveTakenEffect: Bool
    /// Whether the upstream had closed a connection that rested in the pool: nothing is wrong with it, and the next attempt
    /// may follow at once.
    package let isStaleConnection: Bool
    /// What this teaches the breaker.
    package let signal: Signal

    /// Whether not even a connection could be made.
    package var isConnectFailure: Bool { self.code == .unreachable }

    /// Code and message.
    package var description: String { "\(self.code.rawValue): \(self.message)" }

    /// A reply that began in time, and was not whole in time.
    package static let tooSlow = UpstreamFailure(.timeout, "the reply was not whole in time", mayHaveTakenEffect: true)

    /// A request whose task was cancelled first.
    static let cancelledBefore = UpstreamFailure(
        .cancelled,
        "the request was cancelled before it was sent",
        mayHaveTakenEffect: false
    )

    /// A 304 to a request without a condition, which is no answer to it (RFC 9110 §15.4.5).
    package static let unaskedNotModified = UpstreamFailure(
        .malformedReply,
        "the upstream answered 304 to a request without a condition",
        mayHaveTakenEffect: true
    )

    init(_ code: Code, _ message: String, mayHaveTakenEffect: Bool) {
        self.code = code
        self.message = message
        self.mayHaveTakenEffect = mayHaveTakenEffect
        self.isStaleConnection = false
        self.signal = Self.signal(of: code)
    }

    /// Takes over what the HTTP client says.
    package init(_ failure: ExchangeFailure) {
        self.code = Code(failure.code)
        self.message = failure.message
        self.mayHaveTakenEffect = failure.mayHaveTakenEffect
        self.isStaleConnection = failure.isStaleConnection
        if let status = failure.status {
            self.signal = .answered(status: status)
        } else {
            self.signal = failure.isStaleConnection ? .abandoned : Self.signal(of: self.code)
        }
    }

    private static func signal(of code: Code) -> Signal {
        switch code {
        case .unreachable: .unreachable
        case .timeout: .timeout
        case .connectionReset, .malformedReply: .broken
        case .replyTooLarge, .noDescriptor, .saturated, .invalidRequest, .cancelled, .shutdown: .abandoned
        }
    }
}

extension Result where Success == UpstreamReply, Failure == UpstreamFailure {
    /// What the outcome teaches the breaker.
    package var signal: Signal {
        switch self {
        case .success(let reply): .answered(status: reply.status)
        case .failure(let failure): failure.signal
        }
    }
}
